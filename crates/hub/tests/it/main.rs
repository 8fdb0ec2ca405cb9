//! The hub as its users see it: one program, so that it is linked once.

mod answers;
mod application;
mod channels;
mod load;
mod one_way;
mod recovery;
mod revocation;
mod session;
mod world;
