//! Manual pages and what `--help` says of commands.

use std::collections::BTreeSet;

use crate::command::Work;

#[test]
fn every_command_has_a_page() {
    let work = Work::new();
    let root = work.run(["man"]).exits(0).stdout;
    assert!(root.contains(".TH node-data 1") && root.contains(".SH EXIT STATUS\n  0  done"), "{root}");
    let page = work.run(["man", "dataset", "push"]).exits(0).stdout;
    assert!(page.contains(".TH node-data-dataset-push 1") && page.contains("\\-\\-append"), "{page}");
    assert!(page.contains(".SH EXAMPLES\n  node\\-data dataset push \\-\\-name acme/teleop"), "{page}");
    let told = work.run(["man", "--dir", "man/man1"]).exits(0).stdout;
    let names = |work: &Work| -> BTreeSet<String> {
        let entries = std::fs::read_dir(work.path("man/man1")).unwrap();
        entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    };
    let written = names(&work);
    assert_eq!(told, format!("{} pages in man/man1\n", written.len()));
    for name in ["node-data.1", "node-data-convert.1", "node-data-dataset.1", "node-data-dataset-push.1"] {
        assert!(written.contains(name), "{name}: {written:?}");
    }
    assert_eq!(std::fs::read_to_string(work.path("man/man1/node-data-dataset-push.1")).unwrap(), page);
    // Those that it wrote are replaced, and nobody else's.
    work.run(["man", "--dir", "man/man1"]).exits(0);
    work.write("man/man1/node-data-plan.1", ".TH plan 1\nmine\n");
    let refused = work.run(["man", "--dir", "man/man1"]).exits(2);
    assert!(
        refused.stderr.contains("node-data-plan.1") && refused.stderr.contains("hint: "),
        "{}",
        refused.stderr
    );
    assert_eq!(
        std::fs::read_to_string(work.path("man/man1/node-data-plan.1")).unwrap(),
        ".TH plan 1\nmine\n"
    );
    assert_eq!(names(&work), written);
}

#[test]
fn a_page_of_no_command_is_a_mistake() {
    let work = Work::new();
    let refused = work.run(["man", "dataset", "psuh"]).exits(2).stderr;
    assert!(refused.contains("`node-data dataset` has no command `psuh`"), "{refused}");
    assert!(refused.contains("did you mean `push`?"), "{refused}");
}

#[test]
fn help_has_examples_and_exit_codes() {
    let work = Work::new();
    let help = work.run(["--help"]).exits(0).stdout;
    assert!(help.contains("Exit codes:\n  0  done"), "{help}");
    let help = work.run(["convert", "--help"]).exits(0).stdout;
    assert!(
        help.contains("Examples:\n  node-data convert fixtures/mcap/teleop.mcap --out dataset\n"),
        "{help}"
    );
}

#[test]
fn help_of_a_new_token_names_every_scope() {
    let help = Work::new().run(["serve", "--help"]).exits(0).stdout;
    let (_, scope) = help.split_once("--scope <SCOPE>").unwrap();
    let (scope, _) = scope.split_once("--days").unwrap();
    for name in ["read", "roles", "admin", "read:", "push:", "publish:", "review:", "steward:"] {
        assert!(scope.contains(&format!("`{name}`")), "{name} in {scope}");
    }
}
