//! The limits of a server are flags, and it tells them.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use crate::{command::Work, served::Served};

#[test]
fn limits_that_are_flags_are_told() {
    let work = Work::new();
    let served = Served::with(
        &work,
        &["--connections-per-address", "7", "--quota-per-dataset", "12345", "--trusted-proxy", "10.0.0.0/8"],
    );
    let address = served.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    for line in [
        "nodedata_limit{limit=\"connections_per_address\"} 7\n",
        "nodedata_limit{limit=\"connections\"} 512\n",
        "nodedata_quota_bytes{of=\"dataset\"} 12345\n",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
}

#[test]
fn limits_that_are_mistakes_are_told_before_the_server_starts() {
    let work = Work::new();
    for (args, told) in [
        (&["--connections", "0"][..], "--connections"),
        (&["--trusted-proxy", "10.0.0.1/8"], "`10.0.0.1/8` is no network"),
        (&["--body-bytes", "70000000"], "bodies_bytes_per_account"),
    ] {
        let mut command = vec!["serve", "--listen", "127.0.0.1:0", "--store", "store"];
        command.extend(args);
        let ran = work.run(&command).exits(2);
        assert!(ran.stderr.contains(told), "{}", ran.stderr);
    }
}
