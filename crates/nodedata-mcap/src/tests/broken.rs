//! Damaged files, opened to fail and to salvage.
#[test]
fn print_everything() {
    use super::*;
    for (name, bytes) in logs("broken") {
        println!("== {name}");
        let undecoded_any = OpenOptions::default();
        match open(&bytes, &undecoded_any) {
            Err(err) => println!("  fail open: {:?} {err} [{}] {:?}", err.kind(), err.locus(), err.hint()),
            Ok(source) => {
                let outcome = read_all(&*source, &ReadOptions::default());
                println!(
                    "  fail rows {} {:?}",
                    outcome.n_rows(),
                    outcome
                        .errors
                        .iter()
                        .map(|it| format!("{:?} {it} [{}] {:?}", it.kind(), it.locus(), it.loss()))
                        .collect::<Vec<_>>()
                );
            }
        }
        match open(&bytes, &OpenOptions { salvage: true, ..OpenOptions::default() }) {
            Err(err) => println!("  salvage open: {:?} {err} [{}] {:?}", err.kind(), err.locus(), err.hint()),
            Ok(source) => {
                for it in source.damage() {
                    println!("  damage {:?} {it} [{}] {:?}", it.kind(), it.locus(), it.loss());
                }
                for it in source.warnings() {
                    println!("  warning {:?} {it} [{}]", it.kind(), it.locus());
                }
                let outcome = read_all(&*source, &ReadOptions::default());
                println!("  salvage rows {}", outcome.n_rows());
                for it in outcome.errors {
                    println!("  err {:?} {it} [{}] {:?}", it.kind(), it.locus(), it.loss());
                }
            }
        }
    }
}
