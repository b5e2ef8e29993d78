//! The least that a function in Rust takes to ask for its first invocation: the standard library alone, and no settings.
//! What is left of a cold start when this is subtracted is the program's own.

use std::io::{Read, Write};
use std::net::TcpStream;

fn main() -> std::io::Result<()> {
    let api = std::env::var("AWS_LAMBDA_RUNTIME_API").unwrap_or_default();
    let mut connection = TcpStream::connect(&api)?;
    write!(connection, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: {api}\r\n\r\n")?;
    connection.read_exact(&mut [0])
}
