//! What is generated from the proto file and checked in: up to date, and read and written as the JSON API promises.

mod generated;
mod json;
