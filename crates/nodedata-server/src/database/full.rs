//! A server whose database takes nothing more.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use nodedata_registry::Store;

use crate::{Clock, Running, Scope, ServerOptions, start};

fn talk(running: &Running, request: &str, token: &str) -> String {
    let mut stream = TcpStream::connect(running.address()).unwrap();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_full_database_turns_health_red_and_refuses_what_it_cannot_note() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServerOptions {
        listen: "127.0.0.1:0".to_owned(),
        data: Some(folder.path().to_owned()),
        clock: Clock::standing_at(1_800_000_000),
        ..ServerOptions::default()
    };
    let running = start(Store::memory(), options).unwrap();
    let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let database = running.database();
    let made = database.create_token("kit", &[Scope::Read], 10, now).unwrap();
    let token = made.token.reveal();
    let denied = || talk(&running, "GET /v1/audit", token);
    assert!(denied().starts_with("HTTP/1.1 403"));
    assert!(talk(&running, "GET /healthz", token).starts_with("HTTP/1.1 200"));
    // It may grow no more; what is denied is noted until the last page is full.
    database.session().unwrap().batch("PRAGMA max_page_count = 1").unwrap();
    let refused = loop {
        let answer = denied();
        if !answer.starts_with("HTTP/1.1 403") {
            break answer;
        }
    };
    assert!(refused.starts_with("HTTP/1.1 507") && refused.contains("database-full"), "{refused}");
    let health = talk(&running, "GET /healthz", token);
    assert!(health.starts_with("HTTP/1.1 507"), "{health}");
    let changing = talk(&running, "DELETE /v1/pushes/p", token);
    assert!(changing.starts_with("HTTP/1.1 507"), "what would change something is not begun: {changing}");
    database.session().unwrap().batch("PRAGMA max_page_count = 1000000").unwrap();
    assert!(talk(&running, "GET /healthz", token).starts_with("HTTP/1.1 200"));
    assert!(denied().starts_with("HTTP/1.1 403"));
}
