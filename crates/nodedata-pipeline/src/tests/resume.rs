use super::{Folder, RECORDING, bounded, differing};

/// Wherever a run ends, the next one goes on there and gives the same bytes.
#[test]
fn a_run_that_crashed_is_gone_on_with() {
    for steps in [None, Some(bounded())] {
        let calm = Folder::new();
        RECORDING.build("lab").write(&calm.path("src"));
        let n_units = calm.convert(&calm.options(steps.as_ref())).report.units;
        assert!(6 <= n_units, "{n_units} units");
        let mut reused = Vec::new();
        for nth in [1, 11] {
            let folder = Folder::new();
            RECORDING.build("lab").write(&folder.path("src"));
            let options = folder.options(steps.as_ref());
            folder.crash(&options, nth);
            // Once more, a little later.
            folder.crash(&options, 2);
            reused.push(folder.convert(&options).report.units_reused);
            assert_eq!(differing(&folder, &calm), [""; 0].map(std::path::PathBuf::from), "{nth}");
        }
        assert!(reused.is_sorted() && reused[0] < reused[1], "{reused:?}");
    }
}
