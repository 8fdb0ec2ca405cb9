//! What the chat promises, shown from outside: people act through [`Chat`](tidings_chat::Chat) and through live
//! connections of a hub, over a database on the disk.

mod accounts;
mod database;
mod denials;
mod erasing;
mod live;
mod matrix;
mod nodes;
mod promises;
mod property;
mod world;
