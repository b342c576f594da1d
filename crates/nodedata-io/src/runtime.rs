use crate::per_process::PerProcess;

/// Runs a request on the one runtime of the process, which is for talking to stores and servers; hashing and
/// decoding never run there.
pub fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: PerProcess<tokio::runtime::Runtime> = PerProcess::new();
    RUNTIME
        .get(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .expect("the process may start two threads")
        })
        .block_on(future)
}
