//! What `--help` says besides the arguments: examples, and how commands end.

use clap::{Command, CommandFactory as _};

use crate::args::Arguments;

const EXIT_CODES: &str = "\
Exit codes:
  0  done, all of it as asked
  1  failed, or a check did not hold
  2  the command line, or a file of the user's such as a pipeline, is wrong
  3  done, but something that is named was left out or put right
  130, 143  stopped by Ctrl-C or SIGTERM; what was finished is kept

Data goes to stdout and everything else to stderr. With `--format json` stdout is one JSON
document, and an error is one on stderr.";

/// Examples, by the words of the command.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "convert",
        &[
            "node-data convert fixtures/mcap/teleop.mcap --out dataset",
            "node-data convert 'runs/**/*.mcap' --out dataset --rate 30 --split train=0.9,val=0.1",
            "node-data convert s3://bucket/runs --out dataset --on-error salvage",
        ],
    ),
    ("plan", &["node-data plan 'runs/*.mcap' --out dataset --plan plan.json"]),
    ("work", &["node-data work --plan plan.json --index 0 --of 4"]),
    ("finish", &["node-data finish --plan plan.json"]),
    (
        "inspect",
        &["node-data inspect fixtures/mcap/teleop.mcap", "node-data inspect runs/ --features --format json"],
    ),
    (
        "run",
        &[
            "node-data run pipelines/steps-30hz.yaml --dry-run",
            "node-data run pipelines/steps-30hz.yaml --out dataset --set shards.target_mb=128",
        ],
    ),
    ("init", &["node-data init fixtures/mcap/teleop.mcap --out teleop.yaml"]),
    ("pipeline test", &["node-data pipeline test pipelines/steps-30hz.yaml"]),
    ("pipeline check", &["node-data pipeline check pipelines/steps-30hz.yaml"]),
    ("pipeline schema", &["node-data pipeline schema > pipeline.schema.json"]),
    (
        "validate",
        &[
            "node-data validate dataset --deep",
            "node-data validate dataset --rules pipelines/steps-30hz.yaml --report quality.html",
            "node-data validate acme/teleop@latest",
        ],
    ),
    ("schema infer", &["node-data schema infer fixtures/mcap/teleop.mcap > schema.json"]),
    ("schema check", &["node-data schema check fixtures/mcap/teleop.mcap --schema schema.json"]),
    ("schema diff", &["node-data schema diff acme/teleop@1.0.0 dataset"]),
    (
        "explain",
        &[
            "node-data explain dataset --episode 0 --stream /joint_states --row 150",
            "node-data explain dataset --rebuild --source fixtures/mcap/teleop.mcap",
        ],
    ),
    (
        "dataset create",
        &["node-data dataset create acme/teleop --visibility private --data-class pseudonymous"],
    ),
    (
        "dataset push",
        &[
            "node-data dataset push --name acme/teleop --license CC-BY-4.0 dataset",
            "node-data dataset push --name acme/teleop --append more.parquet --dry-run",
        ],
    ),
    ("dataset pull", &["node-data dataset pull acme/teleop@^1 --out teleop"]),
    ("dataset list", &["node-data dataset list --store s3://bucket/registry"]),
    ("dataset show", &["node-data dataset show acme/teleop@1.0.0 --shards"]),
    ("dataset log", &["node-data dataset log acme/teleop --all"]),
    ("dataset diff", &["node-data dataset diff acme/teleop@1.0.0 @latest"]),
    (
        "dataset tag",
        &[
            "node-data dataset tag acme/teleop@1.0.0 stable",
            "node-data dataset tag acme/teleop stable --delete",
        ],
    ),
    ("dataset attach", &["node-data dataset attach acme/teleop@1.0.0 notes.md --kind note"]),
    ("dataset delete", &["node-data dataset delete acme/teleop --reason 'a test'"]),
    ("dataset rename", &["node-data dataset rename acme/teleop teleop-2026"]),
    ("dataset transfer", &["node-data dataset transfer acme/teleop robot-lab"]),
    (
        "dataset purge",
        &[
            "node-data dataset purge acme/teleop --reason 'asked for by the operator' --dry-run",
            "node-data dataset purge acme/teleop --episodes teleop-7 --reason 'asked for by the operator'",
            "node-data dataset purge acme/teleop@1.0.0 --reason 'recorded without consent'",
        ],
    ),
    (
        "dataset withdraw",
        &[
            "node-data dataset withdraw acme/teleop@1.0.0 --reason 'wrong units'",
            "node-data dataset withdraw acme/teleop --episodes teleop-7 --reason 'asked for by the operator'",
        ],
    ),
    ("dataset declare", &["node-data dataset declare acme/teleop --visibility public --data-class none"]),
    ("dataset keygen", &["node-data dataset keygen --out acme.key"]),
    ("dataset sign", &["node-data dataset sign acme/teleop@1.0.0 --key acme.key"]),
    (
        "dataset verify",
        &[
            "node-data dataset verify acme/teleop --key acme.key.pub",
            "node-data dataset verify acme/teleop --rebuild --source fixtures/mcap/teleop.mcap",
        ],
    ),
    ("dataset agreement", &["node-data dataset agreement acme/teleop --store https://data.example.org"]),
    (
        "dataset attest",
        &[
            "node-data dataset attest acme/teleop --agree b3:DIGEST --name 'R. Reader' --purpose 'grasp planning'",
        ],
    ),
    ("dataset attestations", &["node-data dataset attestations acme/teleop"]),
    ("dataset decide", &["node-data dataset decide acme/teleop ID grant --reason 'known to us'"]),
    ("dataset audit", &["node-data dataset audit --store https://data.example.org"]),
    ("store init", &["node-data store init --store s3://bucket/registry"]),
    ("store check", &["node-data store check --store s3://bucket/registry"]),
    ("store fsck", &["node-data store fsck --sample 1"]),
    ("store gc", &["node-data store gc --dry-run"]),
    ("store heal", &["node-data store heal --from s3://bucket/copy"]),
    (
        "serve",
        &[
            "node-data serve --store registry --data server",
            "node-data serve --store registry --data server --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem",
            "node-data serve --data server --new-token acme --scope read --scope 'publish:acme/*'",
            "node-data serve --store registry --data server --oidc-issuer https://id.example --oidc-client-id node-data",
        ],
    ),
    ("serve backup", &["node-data serve backup --data server --out backup.sqlite"]),
    ("serve restore", &["node-data serve restore backup.sqlite --data restored"]),
    (
        "login",
        &[
            "node-data login --store https://data.example",
            "node-data login --store https://data.example --token-stdin < token.txt",
            "node-data login --store https://data.example --id-token-stdin < id_token.jwt",
        ],
    ),
    ("logout", &["node-data logout --store https://data.example"]),
    ("whoami", &["node-data whoami --store https://data.example"]),
    (
        "token create",
        &["node-data token create lab --scope read --scope 'push:lab/*' --store https://data.example"],
    ),
    ("token list", &["node-data token list --store https://data.example"]),
    (
        "token rotate",
        &[
            "node-data token rotate --store https://data.example",
            "node-data token rotate ID --overlap 24 --store https://data.example",
        ],
    ),
    ("token revoke", &["node-data token revoke ID --store https://data.example"]),
    (
        "audit export",
        &[
            "node-data audit export --out audit.jsonl --store https://data.example",
            "node-data audit export --csv --out audit.csv --store https://data.example",
        ],
    ),
    ("audit head", &["node-data audit head --out head.json --store https://data.example"]),
    ("audit verify", &["node-data audit verify audit.jsonl --head head.json --key audit.key.pub"]),
    ("role list", &["node-data role list --store https://data.example"]),
    (
        "role give",
        &[
            "node-data role give group:lab steward 'acme/*' --store https://data.example",
            "node-data role give account:ada reviewer acme/teleop --store https://data.example",
        ],
    ),
    ("role take", &["node-data role take account:ada acme/teleop --store https://data.example"]),
    ("group list", &["node-data group list --store https://data.example"]),
    ("group add", &["node-data group add lab ada --store https://data.example"]),
    ("group remove", &["node-data group remove lab ada --store https://data.example"]),
    ("export hf", &["node-data export hf dataset hub"]),
    (
        "export croissant",
        &["node-data export croissant acme/teleop@1.0.0 --base-url https://data.example.org"],
    ),
    ("formats", &["node-data formats"]),
    ("transforms", &["node-data transforms", "node-data transforms --format json"]),
    ("completions", &["node-data completions bash > ~/.local/share/bash-completion/completions/node-data"]),
    ("man", &["node-data man dataset push | man -l -", "node-data man --dir ~/.local/share/man/man1"]),
];

/// The command with all that its help says.
pub(crate) fn command() -> Command {
    with_examples(Arguments::command().after_help(EXIT_CODES), "")
}

fn with_examples(command: Command, above: &str) -> Command {
    command.mut_subcommands(|it| {
        let words = format!("{above} {}", it.get_name()).trim().to_owned();
        let found = EXAMPLES.iter().find(|(name, _)| *name == words);
        let it = with_examples(it, &words);
        match found {
            Some((_, lines)) => it.after_help(shown(lines)),
            None => it,
        }
    })
}

fn shown(lines: &[&str]) -> String {
    let title = if lines.len() == 1 { "Example" } else { "Examples" };
    let lines: String = lines.iter().map(|it| format!("\n  {it}")).collect();
    format!("{title}:{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of the commands that do something.
    fn leaves(command: &Command, above: &str, found: &mut Vec<String>) {
        for it in command.get_subcommands() {
            let words = format!("{above} {}", it.get_name()).trim().to_owned();
            leaves(it, &words, found);
            if !it.is_subcommand_required_set() {
                found.push(words);
            }
        }
    }

    #[test]
    fn every_command_has_examples_and_none_is_of_another() {
        let mut found = Vec::new();
        leaves(&Arguments::command(), "", &mut found);
        found.sort_unstable();
        let mut named: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
        named.sort_unstable();
        assert_eq!(named, found);
    }

    #[test]
    fn examples_can_be_read_by_the_command() {
        for (name, lines) in EXAMPLES {
            for line in *lines {
                assert!(line.starts_with(&format!("node-data {name}")), "{line}");
                // What a shell does with the output is not the command's.
                let own = line.split(['|', '>', '<']).next().unwrap_or_default();
                let read = command().try_get_matches_from(words(own));
                assert!(read.is_ok(), "{line}: {}", read.expect_err("it is none").render());
            }
        }
    }

    /// Words as a shell splits them, as far as the examples need it.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (idx, part) in line.split('\'').enumerate() {
            if idx % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words
    }
}
