use std::collections::BTreeSet;

use crate::visible::visible;

/// Names that a hint lists at most.
const LISTED_MAX: usize = 16;
/// Letters of a name that are compared: names come from files, and comparing costs their product.
const COMPARED_CHARS: usize = 128;

/// The one of `names` that was probably meant by `found`: no more than one letter in three inserted, removed,
/// replaced or swapped with its neighbour, whatever the case. Of several equally near the first by the alphabet.
pub fn nearest<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (found.chars().count() / 3).max(1);
    let (n_edits, name) = names.into_iter().map(|it| (n_edits(found, it), it)).min()?;
    (n_edits <= allowed).then_some(name)
}

/// The hint for a name that is not there: the one that was probably meant, or else those that are there.
pub fn suggest<'a>(found: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let mut seen = BTreeSet::new();
    let mut names: Vec<&str> = names.into_iter().filter(|it| seen.insert(*it)).collect();
    if let Some(name) = nearest(found, names.iter().copied()) {
        return format!("did you mean `{}`?", visible(name));
    }
    if names.is_empty() {
        return "there are none".to_owned();
    }
    let more = if names.len() > LISTED_MAX { ", …" } else { "" };
    if names.len() > LISTED_MAX {
        names.sort_by_cached_key(|it| (n_edits(found, it), *it));
        names.truncate(LISTED_MAX);
    }
    let names: Vec<_> = names.into_iter().map(visible).collect();
    format!("one of: {}{more}", names.join(", "))
}

/// `name`, or with the first number behind it, as in `name#2`, that makes it a name nobody has.
pub fn free_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut free = name.to_owned();
    let mut number = 2;
    while is_taken(&free) {
        free = format!("{name}#{number}");
        number += 1;
    }
    free
}

fn n_edits(one: &str, other: &str) -> usize {
    let letters = |it: &str| it.chars().take(COMPARED_CHARS).flat_map(char::to_lowercase).collect::<String>();
    strsim::osa_distance(&letters(one), &letters(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: &str, names: &[&str], hint: &str) {
        assert_eq!(suggest(found, names.iter().copied()), hint);
    }

    #[test]
    fn the_nearest_name_is_suggested_only_when_near() {
        check("tpye", &["shape", "type"], "did you mean `type`?");
        check("Float32", &["float16", "float32"], "did you mean `float32`?");
        check("colour", &["shape", "type"], "one of: shape, type");
        check("/cdm", &["/cmd", "/tf"], "did you mean `/cmd`?");
        check("ab", &["ac", "aa"], "did you mean `aa`?");
        check("x", &[], "there are none");
    }

    #[test]
    fn of_many_names_the_nearest_are_listed() {
        let names: Vec<String> = (10..40).map(|it| format!("topic_{it}_long")).collect();
        let hint = suggest("top", names.iter().map(String::as_str).chain(["topics"]));
        assert!(hint.starts_with("one of: topics, topic_10_long, topic_11_long"), "{hint}");
        assert!(hint.ends_with("topic_24_long, …"), "{hint}");
    }

    #[test]
    fn a_name_that_is_taken_gets_the_first_free_number() {
        let taken = ["a", "a#2", "a#4"];
        let free = |name: &str| free_name(name, |it| taken.contains(&it));
        assert_eq!([free("a"), free("b"), free("a#2")], ["a#3", "b", "a#2#2"]);
    }

    #[test]
    fn endless_names_are_compared_by_their_beginning() {
        let long = "a".repeat(1 << 20);
        assert_eq!(nearest(&long, [long.as_str()]), Some(long.as_str()));
    }
}
