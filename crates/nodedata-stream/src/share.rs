use std::str::FromStr;

use nodedata_core::{Error, ErrorKind, Result};

use crate::{mixture::PLACES_MAX, named::named};

/// What becomes of places that do not fill a batch of every rank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tail {
    /// They are left out, and all ranks stop together.
    #[default]
    Drop,
    /// The pass begins again until they do; what is read again says so.
    Pad,
}

impl FromStr for Tail {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named("tail", text, &[("drop_last", Self::Drop), ("pad", Self::Pad)])
    }
}

/// Which places of a pass one process reads, in which batches.
///
/// Rank `r` of `R` takes the places `i` with `i mod R = r`. From a place on that a state names, batch `k` of all ranks together is the
/// next `R` times `batch` places, whatever `R` was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    rank: u64,
    world: u64,
    worker: u64,
    n_workers: u64,
    batch: u64,
    tail: Tail,
}

/// A place that a rank reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Counted over all ranks, from the beginning of the pass.
    pub place: u64,
    /// Whether it is read again, to fill up the last batch.
    pub is_repeat: bool,
}

impl Share {
    /// The share of one rank, in batches of so many samples.
    ///
    /// # Errors
    /// `Config` for a rank that is not one of the world, and for batches of nothing.
    pub fn new(rank: u64, world: u64, batch: u64, tail: Tail) -> Result<Self> {
        let mistake =
            |message: String, hint: String| Err(Error::new(ErrorKind::Config, message).with_hint(hint));
        if rank >= world {
            let hint = match world {
                0 => "a single process is rank 0 of 1".to_owned(),
                _ => format!("ranks of this world are 0 to {}", world - 1),
            };
            return mistake(format!("`rank` is {rank}, and `world` is {world}"), hint);
        }
        if batch == 0 {
            return mistake("a batch has 0 samples".to_owned(), "give at least 1".to_owned());
        }
        if world.checked_mul(batch).is_none_or(|it| it > PLACES_MAX) {
            let message =
                format!("{world} ranks with batches of {batch} samples are more than can be counted");
            return mistake(message, "give smaller batches".to_owned());
        }
        Ok(Self { rank, world, worker: 0, n_workers: 1, batch, tail })
    }

    /// The part of it that one worker of a rank makes: the batches `k` with `k mod n_workers = worker`. No workers are as one: the
    /// rank's own process.
    ///
    /// # Errors
    /// `Config` for a worker that is not one of them.
    pub fn of_worker(self, worker: u64, n_workers: u64) -> Result<Self> {
        let n_workers = n_workers.max(1);
        if worker >= n_workers {
            let message = format!("worker {worker} is not one of {n_workers}");
            return Err(Error::new(ErrorKind::Config, message)
                .with_hint(format!("workers are 0 to {}", n_workers - 1)));
        }
        Ok(Self { worker, n_workers, ..self })
    }

    /// How many batches every rank gets of a pass of so many places, from a place on.
    pub fn n_batches(&self, n_places: u64, from: u64) -> u64 {
        let left = n_places.saturating_sub(from);
        match self.tail {
            Tail::Drop => left / self.stride(),
            Tail::Pad => left.div_ceil(self.stride()),
        }
    }

    /// How many batches of these are this worker's.
    pub fn n_own_batches(&self, n_places: u64, from: u64) -> u64 {
        self.n_batches(n_places, from).saturating_sub(self.worker).div_ceil(self.n_workers)
    }

    /// The places of the batch `nth` of this worker, in their order; `None` behind the last.
    pub fn batch(&self, n_places: u64, from: u64, nth: u64) -> Option<impl Iterator<Item = Place> + use<>> {
        let start = self.start_of(n_places, from, nth)?;
        let share = *self;
        Some((0..self.batch).map(move |nth| share.at(n_places, start + nth * share.world)))
    }

    /// How many samples of a pass, from a place on, are this worker's.
    pub fn n_own_places(&self, n_places: u64, from: u64) -> u64 {
        // Each is a place of the pass, or fills up the last batch of the world: no more than can be counted.
        self.n_own_batches(n_places, from) * self.batch
    }

    /// The place of the sample `nth` of this worker, counted over its batches; `None` behind the last.
    pub fn place(&self, n_places: u64, from: u64, nth: u64) -> Option<Place> {
        let start = self.start_of(n_places, from, nth / self.batch)?;
        Some(self.at(n_places, start + nth % self.batch * self.world))
    }

    /// Where a pass stands once every worker of every rank has had so many samples from a place on. With workers only the batches
    /// count that each of them has had whole: what one of them has of a batch of its own says nothing of those of the others.
    pub fn cursor_at(&self, n_places: u64, from: u64, n_own: u64) -> u64 {
        match self.n_workers {
            1 => from.saturating_add(n_own.saturating_mul(self.world)).min(n_places.max(from)),
            n_workers => self.cursor_after(n_places, from, (n_own / self.batch).saturating_mul(n_workers)),
        }
    }

    /// The first place of the batch `nth` of this worker, as if passes lay end to end; `None` behind the last.
    fn start_of(&self, n_places: u64, from: u64, nth: u64) -> Option<u64> {
        let number = nth.checked_mul(self.n_workers)?.checked_add(self.worker)?;
        if number >= self.n_batches(n_places, from) {
            return None;
        }
        // The first place from there on that is this rank's.
        let first = from + (self.rank + self.world - from % self.world) % self.world;
        Some(first + number * self.stride())
    }

    /// A place of passes that lie end to end.
    fn at(&self, n_places: u64, place: u64) -> Place {
        Place { place: place % n_places, is_repeat: place >= n_places }
    }

    /// Where a pass stands once every rank has had so many batches from a place on.
    pub fn cursor_after(&self, n_places: u64, from: u64, n_batches: u64) -> u64 {
        let places = n_batches.saturating_mul(self.stride());
        from.saturating_add(places).min(n_places.max(from))
    }

    /// The rank whose places these are.
    pub fn rank(&self) -> u64 {
        self.rank
    }

    /// How many ranks share the places.
    pub fn world(&self) -> u64 {
        self.world
    }

    /// Samples of a batch of one rank.
    pub fn n_samples(&self) -> u64 {
        self.batch
    }

    /// What becomes of places that do not fill a batch of every rank.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// Places of a batch of all ranks together.
    fn stride(&self) -> u64 {
        self.world * self.batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(share: &Share, n_places: u64, from: u64) -> Vec<Vec<Place>> {
        let batches = (0..).map_while(|nth| share.batch(n_places, from, nth));
        batches.map(Iterator::collect).collect()
    }

    fn places(share: &Share, n_places: u64, from: u64) -> Vec<Vec<u64>> {
        read(share, n_places, from).iter().map(|it| it.iter().map(|it| it.place).collect()).collect()
    }

    #[test]
    fn a_rank_takes_each_place_that_is_its_own() {
        let share = |rank| Share::new(rank, 3, 2, Tail::Drop).unwrap();
        assert_eq!(places(&share(1), 14, 0), [[1, 4], [7, 10]]);
        // After a place that the world does not divide the ranks stay what they are.
        assert_eq!(places(&share(0), 14, 4), [[6, 9]]);
        assert_eq!(places(&share(1), 14, 4), [[4, 7]]);
        assert_eq!(places(&share(2), 14, 4), [[5, 8]]);
    }

    #[test]
    fn a_pass_is_filled_up_from_its_beginning() {
        let share = Share::new(1, 2, 3, Tail::Pad).unwrap();
        let batches = read(&share, 8, 0);
        assert_eq!(places(&share, 8, 0), [[1, 3, 5], [7, 1, 3]]);
        let repeats: Vec<bool> = batches[1].iter().map(|it| it.is_repeat).collect();
        assert_eq!(repeats, [false, true, true]);
        // Fewer places than a batch: around more than once.
        assert_eq!(places(&Share::new(0, 1, 5, Tail::Pad).unwrap(), 2, 0), [[0, 1, 0, 1, 0]]);
        assert_eq!(places(&Share::new(0, 1, 5, Tail::Pad).unwrap(), 0, 0), Vec::<Vec<u64>>::new());
        assert_eq!(share.cursor_after(8, 0, 2), 8);
        assert_eq!(share.cursor_after(8, 0, 1), 6);
    }

    #[test]
    fn workers_make_batches_in_turn() {
        let share = |worker| Share::new(0, 1, 2, Tail::Drop).unwrap().of_worker(worker, 2).unwrap();
        assert_eq!(places(&share(0), 6, 0), [[0, 1], [4, 5]]);
        assert_eq!(places(&share(1), 6, 0), [[2, 3]]);
        assert_eq!((share(0).n_own_batches(6, 0), share(1).n_own_batches(6, 0)), (2, 1));
        let alone = Share::new(0, 1, 2, Tail::Drop).unwrap();
        assert_eq!(alone.of_worker(0, 0).unwrap(), alone);
    }

    #[test]
    fn samples_are_counted_over_batches() {
        for (worker, n_workers) in [(0, 1), (0, 2), (1, 2), (2, 3)] {
            let share = Share::new(1, 2, 3, Tail::Pad).unwrap().of_worker(worker, n_workers).unwrap();
            let expected: Vec<Place> = read(&share, 40, 7).concat();
            let found = (0..).map_while(|nth| share.place(40, 7, nth));
            assert!(found.eq(expected.iter().copied()));
            assert_eq!(share.n_own_places(40, 7), expected.len() as u64);
        }
    }

    #[test]
    fn the_cursor_of_workers_is_behind_whole_batches() {
        let alone = Share::new(1, 2, 3, Tail::Drop).unwrap();
        assert_eq!([0, 1, 4].map(|it| alone.cursor_at(100, 7, it)), [7, 9, 15]);
        let worker = alone.of_worker(1, 2).unwrap();
        assert_eq!([0, 2, 3, 7].map(|it| worker.cursor_at(100, 7, it)), [7, 7, 19, 31]);
        // What fills up the last batch is behind the end.
        assert_eq!(Share::new(0, 1, 5, Tail::Pad).unwrap().cursor_at(8, 0, 10), 8);
    }

    #[test]
    fn mistakes_are_named() {
        let told = |share: Result<Share>| {
            let err = share.unwrap_err();
            format!("{err}; {}", err.hint().unwrap_or_default())
        };
        let share = |rank, world, batch| Share::new(rank, world, batch, Tail::Drop);
        assert_eq!(told(share(0, 0, 1)), "`rank` is 0, and `world` is 0; a single process is rank 0 of 1");
        assert_eq!(told(share(8, 8, 1)), "`rank` is 8, and `world` is 8; ranks of this world are 0 to 7");
        assert_eq!(told(share(0, 1, 0)), "a batch has 0 samples; give at least 1");
        assert!(told(share(0, 2, u64::MAX)).contains("more than can be counted"));
        let worker = share(0, 1, 1).unwrap().of_worker(2, 2);
        assert_eq!(told(worker), "worker 2 is not one of 2; workers are 0 to 1");
        assert_eq!("pads".parse::<Tail>().unwrap_err().hint(), Some("did you mean `pad`?"));
    }

    #[test]
    fn a_state_behind_the_end_leaves_nothing() {
        let share = Share::new(0, 1, 4, Tail::Pad).unwrap();
        assert_eq!(share.n_batches(8, 9), 0);
        assert!(share.batch(8, 9, 0).is_none());
        assert_eq!(share.cursor_after(8, 9, 0), 9);
    }
}
