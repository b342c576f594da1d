use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::per_process::PerProcess;

/// Does work that is dealt to threads, on those of the pool that it is called from or, from outside of one, on those of
/// this process: the global pool of rayon belongs to the process that asked it first, and whoever is forked from that
/// one waits for it for ever.
pub fn in_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    static POOL: PerProcess<ThreadPool> = PerProcess::new();
    if rayon::current_thread_index().is_some() {
        return work();
    }
    POOL.get(|| ThreadPoolBuilder::new().build().expect("the process may start threads")).install(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_stays_in_the_pool_that_it_is_called_from() {
        let one = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(one.install(|| in_pool(rayon::current_num_threads)), 1);
        let name = || in_pool(|| std::thread::current().id());
        assert_ne!(name(), std::thread::current().id());
        assert_eq!(in_pool(|| in_pool(|| 7)), 7);
    }
}
