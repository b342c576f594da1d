//! The server from outside, over real connections on this machine.

mod gate;
mod limits;
mod page;
mod protocol;
mod site;
