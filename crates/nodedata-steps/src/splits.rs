/// The split of an episode that none of the source's own `splits` covers: with one, it can only have been
/// forgotten; with several, nobody knows.
pub fn split_for_uncovered<'a>(splits: impl IntoIterator<Item = &'a str>) -> String {
    let mut splits = splits.into_iter();
    let only = splits.next().filter(|_| splits.next().is_none());
    only.unwrap_or("unassigned").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_split_can_have_been_forgotten() {
        assert_eq!(split_for_uncovered(["train"]), "train");
        assert_eq!(split_for_uncovered(["train", "val"]), "unassigned");
        assert_eq!(split_for_uncovered([]), "unassigned");
    }
}
