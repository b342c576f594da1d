//! A proxy on this machine that hands on what comes, but for what it is told to do to a connection.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::generated::Random;

/// What is done to a connection, once so many bytes have gone one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Both ways end at once.
    Cut,
    /// That way ends as if its sender had said all of it.
    Truncate,
    /// Nothing more comes for a while; then both ways end.
    Stall,
    /// Some hundred bytes come in pieces of a few.
    Drip,
}

pub(super) const FAULTS: [Fault; 4] = [Fault::Cut, Fault::Truncate, Fault::Stall, Fault::Drip];

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Request,
    Answer,
}

/// What is done to one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) way: Way,
    pub(super) fault: Fault,
    /// Bytes that pass before.
    pub(super) after: u64,
}

impl Plan {
    /// What a seed does to a connection by its number: nothing to one in nine, each fault in its turn to the others, after
    /// anything from nothing to 16 MiB.
    pub(super) fn of(seed: u64, idx: u64) -> Option<Self> {
        let turn = idx % 9;
        let fault = *FAULTS.get((turn / 2) as usize)?;
        let mut random = Random(seed.wrapping_add(idx.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1);
        random.next();
        let scale = 1 << random.below(25);
        let way = if turn.is_multiple_of(2) { Way::Request } else { Way::Answer };
        Some(Self { way, fault, after: random.below(scale) })
    }
}

/// How often what was done: by fault, to requests and to answers.
#[derive(Default)]
pub(super) struct Done([[AtomicU64; 2]; 4]);

impl Done {
    fn note(&self, plan: &Plan) {
        let fault = FAULTS.iter().position(|it| *it == plan.fault).unwrap();
        self.0[fault][usize::from(plan.way == Way::Answer)].fetch_add(1, Ordering::Relaxed);
    }

    /// To requests and to answers.
    pub(super) fn of(&self, fault: Fault) -> [u64; 2] {
        let idx = FAULTS.iter().position(|it| *it == fault).unwrap();
        [0, 1].map(|way| self.0[idx][way].load(Ordering::Relaxed))
    }

    pub(super) fn total(&self) -> u64 {
        FAULTS.iter().flat_map(|it| self.of(*it)).sum()
    }
}

struct Shared {
    target: Mutex<SocketAddr>,
    stopped: AtomicBool,
    n_connections: AtomicU64,
    done: Done,
    stall: Duration,
    plan: Box<dyn Fn(u64) -> Option<Plan> + Send + Sync>,
}

/// The proxy, ended when it is dropped; connections end with those who hold them.
pub(super) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Proxy {
    /// Before a server, with what is done to each connection by its number, and how long a stall is.
    pub(super) fn new(
        target: &str,
        stall: Duration,
        plan: impl Fn(u64) -> Option<Plan> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: Mutex::new(address_of(target)),
            stopped: AtomicBool::new(false),
            n_connections: AtomicU64::new(0),
            done: Done::default(),
            stall,
            plan: Box::new(plan),
        });
        let served = Arc::clone(&shared);
        in_thread(move || serve(&listener, &served));
        Self { shared, address }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on in front of another server.
    pub(super) fn aim(&self, target: &str) {
        *self.shared.target.lock().unwrap_or_else(PoisonError::into_inner) = address_of(target);
    }

    pub(super) fn done(&self) -> &Done {
        &self.shared.done
    }

    pub(super) fn n_connections(&self) -> u64 {
        self.shared.n_connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // It waits for a connection.
        drop(TcpStream::connect(self.address));
    }
}

fn address_of(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
}

fn in_thread(job: impl FnOnce() + Send + 'static) {
    drop(std::thread::Builder::new().spawn(job).unwrap());
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let Ok(client) = client else { continue };
        let idx = shared.n_connections.fetch_add(1, Ordering::Relaxed);
        let target = *shared.target.lock().unwrap_or_else(PoisonError::into_inner);
        // Where the server is gone, the client's connection ends here.
        let Ok(server) = TcpStream::connect(target) else { continue };
        let plan = (shared.plan)(idx);
        for way in [Way::Request, Way::Answer] {
            let (client, server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            let (from, to) = if way == Way::Request { (client, server) } else { (server, client) };
            let (plan, shared) = (plan.filter(|it| it.way == way), Arc::clone(shared));
            in_thread(move || hand_on(from, to, plan, &shared));
        }
    }
}

/// Hands on what comes until one of both ends, or the fault.
fn hand_on(mut from: TcpStream, mut to: TcpStream, plan: Option<Plan>, shared: &Shared) {
    let mut left = plan.map_or(u64::MAX, |it| it.after);
    let mut bytes = vec![0; 64 << 10];
    loop {
        if left == 0
            && let Some(plan) = plan
        {
            shared.done.note(&plan);
            let goes_on = do_to(plan.fault, &mut from, &mut to, shared.stall);
            if !goes_on {
                return;
            }
            left = u64::MAX;
        }
        let room = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        match from.read(&mut bytes[..room]) {
            Ok(n) if n > 0 && to.write_all(&bytes[..n]).is_ok() => left -= n as u64,
            Ok(0) => {
                // Said to its end: the other way may go on.
                drop(to.shutdown(Shutdown::Write));
                return;
            }
            _ => return end(&from, &to),
        }
    }
}

/// Whether the connection goes on.
fn do_to(fault: Fault, from: &mut TcpStream, to: &mut TcpStream, stall: Duration) -> bool {
    match fault {
        Fault::Cut => end(from, to),
        Fault::Truncate => {
            drop(to.shutdown(Shutdown::Write));
            // Whoever sends is not to notice: it would be a cut.
            drop(std::io::copy(from, &mut std::io::sink()));
        }
        Fault::Stall => {
            std::thread::sleep(stall);
            end(from, to);
        }
        Fault::Drip => {
            let mut piece = [0; 5];
            for _ in 0..100 {
                let Ok(n) = from.read(&mut piece) else { return false };
                if n == 0 || to.write_all(&piece[..n]).is_err() {
                    end(from, to);
                    return false;
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            return true;
        }
    }
    false
}

fn end(one: &TcpStream, other: &TcpStream) {
    for stream in [one, other] {
        drop(stream.shutdown(Shutdown::Both));
    }
}
