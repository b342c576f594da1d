use std::{
    collections::BTreeMap,
    mem,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use blake3::hazmat::ChainingValue;

use super::tree::{Tree, chaining_value, subtree_bytes, subtrees};

/// What is held of all files of a run at most. Whatever else passes is read once more to be hashed.
const HELD_BYTES_MAX: u64 = 64 << 20;
/// What was seen behind a gap is read again with the gap, unless it is so long: a request of its own for each gap would take longer.
const SKIPPED_BYTES_MIN: u64 = 1 << 20;
/// A gap behind what was seen is fetched with what is read behind it, unless it is longer: so what is read piece by piece, as the chunks
/// of a log are, leaves no gaps that have to be asked for one by one.
const GAP_BYTES_MAX: u64 = 64 << 10;
/// What holding a part takes beside its bytes.
const PART_BYTES: u64 = 96;

/// What was hashed of a file when it was read for something else.
#[derive(Default)]
pub(crate) struct Seen {
    parts: Mutex<Parts>,
    /// By all files of a run together.
    n_held: Arc<AtomicU64>,
}

#[derive(Default)]
struct Parts {
    /// What is before it is hashed, or nobody is going to ask for it.
    front: u64,
    /// Where the hash of all bytes before is asked for: no subtree may run across.
    marks: Vec<u64>,
    by_start: BTreeMap<u64, Part>,
}

enum Part {
    /// A subtree of so many bytes.
    Subtree(u64, ChainingValue),
    /// What lies before the first chunk that was read as a whole, and behind the last.
    Bytes(Box<[u8]>),
}

/// What a hash goes on with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It went on by what was seen.
    Taken,
    /// Bytes up to here were not seen.
    Unseen(u64),
}

impl Parts {
    /// Where something begins, after a gap, that is long enough to be skipped; no further than `end`.
    fn behind_gap(&self, end: u64) -> u64 {
        let mut run: Option<Range<u64>> = None;
        for (start, part) in &self.by_start {
            let part = *start..*start + part.n_bytes();
            let joined = match run {
                Some(run) if part.start <= run.end => run.start..run.end.max(part.end),
                Some(_) | None => part,
            };
            // What comes behind `end` is asked for later, and is not read now either.
            if end <= joined.start || end <= joined.end || SKIPPED_BYTES_MIN <= joined.end - joined.start {
                return joined.start.min(end);
            }
            run = Some(joined);
        }
        end
    }
}

impl Part {
    fn n_bytes(&self) -> u64 {
        match self {
            Self::Subtree(n_bytes, _) => *n_bytes,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    fn n_held(&self) -> u64 {
        match self {
            Self::Subtree(..) => PART_BYTES,
            Self::Bytes(bytes) => PART_BYTES + bytes.len() as u64,
        }
    }
}

impl Seen {
    /// Of one more file, where all together hold no more than they may.
    pub(super) fn beside(n_held: &Arc<AtomicU64>) -> Self {
        Self { parts: Mutex::default(), n_held: Arc::clone(n_held) }
    }

    /// Says where the hash of all bytes before will be asked for, in order.
    pub(super) fn expect(&self, marks: Vec<u64>) {
        self.lock().marks = marks;
    }

    /// Says that nobody is going to ask for what lies before `front`.
    pub(super) fn forget(&self, front: u64) {
        let mut parts = self.lock();
        parts.front = parts.front.max(front);
        while let Some(first) = parts.by_start.first_entry() {
            if first.key().saturating_add(first.get().n_bytes()) > front {
                break;
            }
            self.n_held.fetch_sub(first.remove().n_held(), Ordering::Relaxed);
        }
    }

    /// Where the gap begins that `start` ends, if it is short.
    pub(super) fn gap_before(&self, start: u64) -> u64 {
        let parts = self.lock();
        let before = parts.by_start.range(..start).next_back().map(|(at, part)| at + part.n_bytes());
        let seen = before.unwrap_or(0).max(parts.front);
        // What overlaps was seen, and at the begin of a file nobody has read anything.
        if 0 < seen && seen < start && start - seen <= GAP_BYTES_MAX { seen } else { start }
    }

    /// Hashes what was read at `start`, as far as it is still asked for.
    pub(super) fn note(&self, start: u64, bytes: &[u8]) {
        if HELD_BYTES_MAX <= self.n_held.load(Ordering::Relaxed) {
            return;
        }
        let end = start + bytes.len() as u64;
        // Hashing takes its time: others may read meanwhile.
        let (from, marks) = {
            let parts = self.lock();
            let from = start.max(parts.front).min(end);
            let first = parts.marks.partition_point(|it| *it <= from);
            let marks = parts.marks[first..].iter().copied().take_while(|it| *it < end);
            (from, marks.chain([end]).collect::<Vec<u64>>())
        };
        let mut found = Vec::new();
        let mut at = from;
        for mark in marks {
            for Range { start: from, end: to } in subtrees(mem::replace(&mut at, mark)..mark) {
                let part = &bytes[(from - start) as usize..(to - start) as usize];
                let n_bytes = to - from;
                let part = match subtree_bytes(from, n_bytes) == n_bytes {
                    true => Part::Subtree(n_bytes, chaining_value(from, part)),
                    false => Part::Bytes(part.into()),
                };
                found.push((from, part));
            }
        }
        let mut parts = self.lock();
        for (from, part) in found {
            let is_longer = |known: &Part| known.n_bytes() < part.n_bytes();
            if from < parts.front || !parts.by_start.get(&from).is_none_or(is_longer) {
                continue;
            }
            self.n_held.fetch_add(part.n_held(), Ordering::Relaxed);
            if let Some(shorter) = parts.by_start.insert(from, part) {
                self.n_held.fetch_sub(shorter.n_held(), Ordering::Relaxed);
            }
        }
    }

    /// Lets a hash go on by what was seen of the bytes up to `end`, which is behind it.
    pub(super) fn go_on(&self, tree: &mut Tree, end: u64) -> Next {
        let mut parts = self.lock();
        loop {
            let at = tree.n_bytes();
            let Some(first) = parts.by_start.first_entry() else { return Next::Unseen(end) };
            let start = *first.key();
            if at < start {
                return Next::Unseen(parts.behind_gap(end));
            }
            let behind = start + first.get().n_bytes();
            let is_taken = match first.get() {
                Part::Bytes(bytes) if at < behind => {
                    let now = bytes.len().min((end - start) as usize);
                    tree.update(&bytes[(at - start) as usize..now]);
                    true
                }
                Part::Subtree(n_bytes, subtree) if start == at && behind <= end && tree.takes(*n_bytes) => {
                    tree.update_hashed(*subtree, *n_bytes);
                    true
                }
                Part::Bytes(_) | Part::Subtree(..) => false,
            };
            // The rest of what an `end` cuts is asked for next.
            if behind <= tree.n_bytes() || !is_taken {
                self.n_held.fetch_sub(first.remove().n_held(), Ordering::Relaxed);
            }
            if is_taken {
                parts.front = tree.n_bytes();
                return Next::Taken;
            }
        }
    }

    /// Parts are whole or not there, also when a thread panicked beside them.
    fn lock(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(n: usize) -> Vec<u8> {
        (0..n).map(|it| (it * 31 + it / 7) as u8).collect()
    }

    /// Hashes a file up to each of `ends`; the hashes, and the bytes that nobody had seen.
    fn hashed(seen: &Seen, all: &[u8], ends: &[u64]) -> (Vec<String>, u64) {
        let (mut tree, mut n_unseen) = (Tree::default(), 0);
        let mut hash = |end: u64| {
            while tree.n_bytes() < end {
                if let Next::Unseen(stop) = seen.go_on(&mut tree, end) {
                    n_unseen += stop - tree.n_bytes();
                    tree.update(&all[tree.n_bytes() as usize..stop as usize]);
                }
            }
            tree.b3()
        };
        (ends.iter().map(|it| hash(*it)).collect(), n_unseen)
    }

    fn expected(all: &[u8], ends: &[u64]) -> Vec<String> {
        ends.iter().map(|it| blake3::hash(&all[..*it as usize]).to_hex().to_string()).collect()
    }

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "a list of reads may have one")]
    fn what_was_read_in_any_order_is_not_read_again() {
        const N: usize = 5_000_001;
        let all = bytes(N);
        let note = |seen: &Seen, range: Range<usize>| seen.note(range.start as u64, &all[range]);
        let reads: [(&[Range<usize>], u64); 6] = [
            (&[0..N], 0),
            (&[3_000_000..N, 0..12, 12..3_000_000], 0),
            (&[12..2_000_000, 2_000_012..N], 24),
            // What is short between gaps is not skipped.
            (&[0..1024, 1024..2048, 5000..5001, N - 1..N], N as u64 - 2049),
            // One within another, one twice, and some that overlap.
            (&[0..2_000_000, 20_000..20_010, 0..2_000_000, 1_900_000..N], 0),
            (&[], N as u64),
        ];
        for (reads, n_unseen) in reads {
            let seen = Seen::default();
            reads.iter().for_each(|it| note(&seen, it.clone()));
            let (found, unseen) = hashed(&seen, &all, &[N as u64]);
            assert_eq!(found, expected(&all, &[N as u64]), "{reads:?}");
            // Where reads overlap, what a subtree hides is read again.
            assert!(n_unseen <= unseen && unseen < n_unseen + 150_000, "{reads:?}: {unseen} bytes");
            assert_eq!(seen.n_held.load(Ordering::Relaxed), 0, "{reads:?}");
        }
    }

    #[test]
    fn short_gaps_are_found() {
        let all = bytes(400_000);
        let seen = Seen::default();
        assert_eq!(seen.gap_before(100), 100);
        seen.note(1000, &all[1000..150_000]);
        assert_eq!(
            [150_000, 150_001, 200_000, 220_000].map(|it| seen.gap_before(it)),
            [150_000, 150_000, 150_000, 220_000]
        );
        seen.forget(160_000);
        assert_eq!([160_500, 100].map(|it| seen.gap_before(it)), [160_000, 100]);
    }

    /// Records do not end where chunks do.
    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "a list of reads may have one")]
    fn hashes_on_the_way_cost_nothing_where_they_are_expected() {
        let all = bytes(100_000);
        let ends = [5, 1024, 3000, 50_000, 65_536, 99_999, 100_000];
        for (marks, reads) in [
            (ends.to_vec(), vec![0..100_000]),
            (Vec::new(), std::iter::once(0).chain(ends).zip(ends).map(|it| it.0..it.1).collect()),
        ] {
            let seen = Seen::default();
            seen.expect(marks);
            let note = |it: &Range<u64>| seen.note(it.start, &all[it.start as usize..it.end as usize]);
            reads.iter().rev().for_each(note);
            assert_eq!(hashed(&seen, &all, &ends), (expected(&all, &ends), 0));
        }
        // One that nobody expected costs the subtree that it lies in.
        let seen = Seen::default();
        seen.note(0, &all);
        let (found, n_unseen) = hashed(&seen, &all, &[40_000, 100_000]);
        assert_eq!(found, expected(&all, &[40_000, 100_000]));
        assert!((1..65_536).contains(&n_unseen), "{n_unseen} bytes");
    }

    #[test]
    fn what_is_hashed_already_is_not_held() {
        let all = bytes(10_000);
        let seen = Seen::default();
        seen.note(0, &all[..5000]);
        assert!(0 < seen.n_held.load(Ordering::Relaxed));
        seen.forget(10_000);
        seen.note(2000, &all[2000..9000]);
        assert_eq!(seen.n_held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn no_more_is_held_than_may_be() {
        let n_held = Arc::new(AtomicU64::new(HELD_BYTES_MAX));
        let seen = Seen::beside(&n_held);
        seen.note(0, &bytes(5000));
        assert_eq!(n_held.load(Ordering::Relaxed), HELD_BYTES_MAX);
        assert_eq!(seen.go_on(&mut Tree::default(), 5000), Next::Unseen(5000));
    }
}
