//! OMG IDL as far as messages use it: modules, structs, enums, typedefs, constants, annotations.

mod lexer;
mod parser;
mod resolve;

pub(crate) use resolve::parse;
