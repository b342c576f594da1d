use std::{
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::limits::Limits;

/// Bytes that count as a step forward. Fewer are a drip, which looks alive and moves nothing.
const STEP_BYTES: u64 = 16 << 10;
/// How often a connection's deadlines are looked at.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_secs(2);

/// A connection, as those who decide about it see it.
#[derive(Debug)]
pub(crate) struct Connection {
    id: u64,
    peer: IpAddr,
    state: Mutex<State>,
    is_ended: AtomicBool,
    ended: Notify,
}

/// What a connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has no request. The end of an answer may still be on its way.
    Idle,
    /// Some of the head of a request is there.
    Head,
    /// The body of a request is waited for.
    Body,
    /// The server works.
    Work,
    /// The answer is sent.
    Answer,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase began.
    since: Instant,
    /// When it moved last, without the times in which the server kept it waiting.
    moved_at: Instant,
    /// Bytes since.
    n_bytes: u64,
    /// Whether the other side takes no more of what is sent.
    is_blocked: bool,
    /// When it took the last of it.
    taken_at: Instant,
}

impl Connection {
    pub(super) fn new(id: u64, peer: IpAddr, now: Instant) -> Self {
        let state = State {
            phase: Phase::Idle,
            since: now,
            moved_at: now,
            n_bytes: 0,
            is_blocked: false,
            taken_at: now,
        };
        Self { id, peer, state: Mutex::new(state), is_ended: AtomicBool::new(false), ended: Notify::new() }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The address at its other end.
    pub(crate) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Notes that another phase begins.
    pub(crate) fn enter(&self, phase: Phase, now: Instant) {
        let mut state = self.lock();
        (state.phase, state.since, state.moved_at, state.n_bytes) = (phase, now, now, 0);
    }

    /// Notes that bytes came.
    pub(super) fn read(&self, n_bytes: usize, now: Instant) {
        let mut state = self.lock();
        match state.phase {
            Phase::Idle if !state.is_blocked => {
                (state.phase, state.since, state.moved_at) = (Phase::Head, now, now);
            }
            Phase::Body => state.moved(n_bytes, now),
            Phase::Idle | Phase::Head | Phase::Work | Phase::Answer => {}
        }
    }

    /// Notes that bytes were taken.
    pub(super) fn wrote(&self, n_bytes: usize, now: Instant) {
        let mut state = self.lock();
        (state.is_blocked, state.taken_at) = (false, now);
        if matches!(state.phase, Phase::Idle | Phase::Answer) {
            state.moved(n_bytes, now);
        }
    }

    /// Notes that bytes wait to be taken.
    pub(super) fn blocked(&self, now: Instant) {
        let mut state = self.lock();
        if !state.is_blocked {
            // From the last byte taken to this one the other side was not the one waited for.
            let began = state.taken_at.max(state.since);
            let moved_at = state.moved_at.max(state.since) + now.saturating_duration_since(began);
            state.moved_at = moved_at.min(now);
            state.is_blocked = true;
        }
    }

    /// Since when it stands still, if that is at least so long and not the server's doing.
    pub(crate) fn stalled_since(&self, now: Instant, at_least: Duration) -> Option<Instant> {
        let state = self.lock();
        let waits = match state.phase {
            Phase::Idle | Phase::Head | Phase::Body => true,
            Phase::Answer => state.is_blocked,
            Phase::Work => false,
        };
        let is_long = now.saturating_duration_since(state.moved_at) >= at_least;
        (waits && is_long && !self.is_ended()).then_some(state.moved_at)
    }

    /// When it moved last.
    pub(super) fn moved_at(&self) -> Instant {
        self.lock().moved_at
    }

    pub(super) fn is_worked_for(&self) -> bool {
        self.lock().phase == Phase::Work
    }

    /// Closes it.
    pub(crate) fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
        self.ended.notify_one();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    /// Returns once it was closed.
    pub(crate) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Returns once the other side kept the server waiting too long with anything but a body.
    pub(crate) async fn overdue(&self, limits: &Limits) {
        self.past(limits, |phase| phase != Phase::Body).await;
    }

    /// Returns once the other side kept the server waiting too long with a body: that can still be answered.
    pub(crate) async fn body_overdue(&self, limits: &Limits) {
        self.past(limits, |phase| phase == Phase::Body).await;
    }

    async fn past(&self, limits: &Limits, concerns: fn(Phase) -> bool) {
        let shortest = limits.idle_timeout.min(limits.head_timeout).min(limits.stall_timeout);
        let look = (shortest / 4).clamp(LOOK_MIN, LOOK_MAX);
        loop {
            let now = Instant::now();
            let left = match self.deadline(limits, concerns) {
                Some(deadline) if deadline <= now => return,
                Some(deadline) => deadline - now,
                None => look,
            };
            tokio::time::sleep(left.clamp(LOOK_MIN, look)).await;
        }
    }

    /// When the other side must have done something; `None` while nothing is waited for.
    fn deadline(&self, limits: &Limits, concerns: fn(Phase) -> bool) -> Option<Instant> {
        let state = self.lock();
        if !concerns(state.phase) {
            return None;
        }
        match state.phase {
            Phase::Idle | Phase::Answer if state.is_blocked => Some(state.moved_at + limits.stall_timeout),
            Phase::Idle => Some(state.since + limits.idle_timeout),
            Phase::Head => Some(state.since + limits.head_timeout),
            Phase::Body => Some(state.moved_at + limits.stall_timeout),
            Phase::Work | Phase::Answer => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn moved(&mut self, n_bytes: usize, now: Instant) {
        self.n_bytes += n_bytes as u64;
        if self.n_bytes >= STEP_BYTES {
            (self.moved_at, self.n_bytes) = (now, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn any(_: Phase) -> bool {
        true
    }

    #[test]
    fn a_drip_does_not_count_as_moving() {
        let start = Instant::now();
        let connection = Connection::new(0, [127, 0, 0, 1].into(), start);
        let limits = Limits::default();
        let due = |it: &Connection| it.deadline(&limits, any).map(|it| it - start);
        assert_eq!(due(&connection), Some(limits.idle_timeout));
        connection.read(10, start + SECOND);
        assert_eq!(due(&connection), Some(SECOND + limits.head_timeout));
        connection.read(10, start + 9 * SECOND);
        assert_eq!(due(&connection), Some(SECOND + limits.head_timeout), "of the head's first byte");
        connection.enter(Phase::Body, start + 10 * SECOND);
        connection.read(100, start + 11 * SECOND);
        assert_eq!(due(&connection), Some(10 * SECOND + limits.stall_timeout));
        connection.read(16 << 10, start + 12 * SECOND);
        assert_eq!(due(&connection), Some(12 * SECOND + limits.stall_timeout));
        connection.enter(Phase::Work, start + 13 * SECOND);
        assert_eq!((due(&connection), connection.stalled_since(start + 99 * SECOND, SECOND)), (None, None));
    }

    #[test]
    fn what_the_server_makes_wait_is_not_the_readers_fault() {
        let start = Instant::now();
        let connection = Connection::new(0, [127, 0, 0, 1].into(), start);
        let limits = Limits::default();
        connection.enter(Phase::Answer, start);
        connection.wrote(64 << 10, start + SECOND);
        assert_eq!(connection.deadline(&limits, any), None, "nothing waits to be taken");
        // The store took 40 s for the next piece.
        connection.blocked(start + 41 * SECOND);
        assert_eq!(connection.deadline(&limits, any), Some(start + 41 * SECOND + limits.stall_timeout));
        for second in 42..50 {
            connection.wrote(100, start + second * SECOND);
            connection.blocked(start + second * SECOND);
        }
        assert_eq!(connection.deadline(&limits, any), Some(start + 41 * SECOND + limits.stall_timeout));
        assert_eq!(connection.stalled_since(start + 50 * SECOND, SECOND), Some(start + 41 * SECOND));
        // The rest of an answer that nobody takes is one that nobody takes.
        connection.enter(Phase::Idle, start + 50 * SECOND);
        assert_eq!(connection.deadline(&limits, any), Some(start + 50 * SECOND + limits.stall_timeout));
    }
}
