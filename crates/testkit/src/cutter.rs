//! A wire between a client and its server that breaks in the middle of a commit, or of another call, or
//! falls silent.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// When the wire breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Before the server hears of it: nothing is done.
    Before,
    /// After the server has done it, before it can say so.
    After,
}

/// What is to break: the call after this many others.
#[derive(Default)]
struct Plan {
    armed: Option<(u32, Cut)>,
    cuts: u32,
    /// What has become of each connection: whether nothing passes any more.
    lost: Vec<Arc<AtomicBool>>,
}

/// Passes everything on to a server on this machine, until a call that is to be cut. Only the connection
/// of that call breaks. It lasts as long as the process.
#[derive(Clone)]
pub struct Cutter {
    port: u16,
    server: Arc<AtomicU16>,
    plan: Arc<Mutex<Plan>>,
}

/// How Postgres is asked to commit.
const COMMIT: &[u8] = b"COMMIT\0";

impl Cutter {
    /// A wire to a Postgres at this port, for cutting commits.
    pub fn to(server: u16) -> Self {
        Self::on(server, COMMIT)
    }

    /// A wire to any server at this port, for cutting calls that hold these bytes.
    pub fn on(server: u16, call: &'static [u8]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let cutter = Self {
            port: listener.local_addr().unwrap().port(),
            server: Arc::new(AtomicU16::new(server)),
            plan: Arc::default(),
        };
        let (plan, server) = (Arc::clone(&cutter.plan), Arc::clone(&cutter.server));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // The server may be away: then so is this wire.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", server.load(Ordering::SeqCst)))
                {
                    join(client, server, &plan, call);
                }
            }
        });
        cutter
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections to another port, as an address does that moves in a fail-over.
    pub fn lead_to(&self, server: u16) {
        self.server.store(server, Ordering::SeqCst);
    }

    /// Cuts one call, after `spared` others.
    pub fn cut(&self, spared: u32, cut: Cut) {
        lock(&self.plan).armed = Some((spared, cut));
    }

    /// Loses all that passes on the connections that there are, and closes none: as when the other machine has
    /// lost its power. New connections are as good as before.
    pub fn fall_silent(&self) {
        for lost in &lock(&self.plan).lost {
            lost.store(true, Ordering::SeqCst);
        }
    }

    /// How many calls were cut.
    pub fn cuts(&self) -> u32 {
        lock(&self.plan).cuts
    }
}

fn lock(plan: &Mutex<Plan>) -> MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cut that a call meets, if it does.
fn strike(plan: &Mutex<Plan>) -> Option<Cut> {
    let mut plan = lock(plan);
    match plan.armed {
        Some((0, cut)) => {
            plan.armed = None;
            plan.cuts += 1;
            Some(cut)
        }
        Some((spared, cut)) => {
            plan.armed = Some((spared - 1, cut));
            None
        }
        None => None,
    }
}

fn join(client: TcpStream, server: TcpStream, plan: &Arc<Mutex<Plan>>, call: &'static [u8]) {
    let silent = Arc::new(AtomicBool::new(false));
    let lost = Arc::new(AtomicBool::new(false));
    lock(plan).lost.push(Arc::clone(&lost));
    let (to_server, to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let (plan, muted, gone) = (Arc::clone(plan), Arc::clone(&silent), Arc::clone(&lost));
    thread::spawn(move || {
        pass(client, to_server, |bytes| {
            if lost.load(Ordering::SeqCst) {
                return Fate::Lost;
            }
            let calls = bytes.windows(call.len()).any(|part| part == call);
            match calls.then(|| strike(&plan)).flatten() {
                Some(Cut::Before) => Fate::Broken,
                Some(Cut::After) => {
                    silent.store(true, Ordering::SeqCst);
                    Fate::Passed
                }
                None => Fate::Passed,
            }
        });
    });
    thread::spawn(move || {
        pass(server, to_client, |_| {
            if gone.load(Ordering::SeqCst) {
                Fate::Lost
            } else if muted.load(Ordering::SeqCst) {
                Fate::Broken
            } else {
                Fate::Passed
            }
        });
    });
}

/// What becomes of a piece.
enum Fate {
    Passed,
    Lost,
    Broken,
}

/// Copies until an end is reached or a piece may not go on; then both sides are closed.
fn pass(mut from: TcpStream, mut to: TcpStream, fate: impl Fn(&[u8]) -> Fate) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let bytes = &buffer[..length];
        match fate(bytes) {
            Fate::Passed if to.write_all(bytes).is_ok() => {}
            Fate::Lost => {}
            Fate::Passed | Fate::Broken => break,
        }
    }
    // The other side may have closed it already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
