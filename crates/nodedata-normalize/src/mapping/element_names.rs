use std::collections::BTreeSet;

use nodedata_core::{StreamSchema, meta};

use super::field::{Part, Pick};

/// Names of all elements of a vector that parts are joined to, as [`meta::NAMES`] has them; `None` where those of one part
/// are not known. Where parts have the same names, they are told apart by the column, or by topic and column.
pub(super) fn element_names(parts: &[Part], streams: &[StreamSchema]) -> Option<String> {
    let of_parts: Vec<Vec<String>> = parts.iter().map(|it| names_of(it, streams)).collect::<Option<_>>()?;
    let with = |prefix: &dyn Fn(&Part) -> String| -> Vec<String> {
        let of_part = |(part, names): (&Part, &Vec<String>)| {
            let prefix = prefix(part);
            names.iter().map(|it| format!("{prefix}{it}")).collect::<Vec<_>>()
        };
        parts.iter().zip(&of_parts).flat_map(of_part).collect()
    };
    let column = |it: &Part| format!("{}.", streams[it.stream].features[it.column].name);
    let is_unique = |names: &Vec<String>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    let plain = with(&|_| String::new());
    let names = Some(plain).filter(is_unique).or_else(|| Some(with(&column)).filter(is_unique));
    let names = names.unwrap_or_else(|| with(&|it| format!("{}.{}", streams[it.stream].name, column(it))));
    serde_json::to_string(&names).ok()
}

fn names_of(part: &Part, streams: &[StreamSchema]) -> Option<Vec<String>> {
    let of_source = || -> Option<Vec<String>> {
        serde_json::from_str(streams[part.stream].features[part.column].metadata.get(meta::NAMES)?).ok()
    };
    match &part.pick {
        Pick::Names { wanted, .. } => Some(wanted.to_vec()),
        Pick::All => of_source(),
        Pick::Items(items) => {
            let names = of_source()?;
            items.iter().map(|it| names.get(*it).cloned()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use nodedata_core::{DType, Dim, Feature, StreamId, StreamKind};

    use super::*;

    fn streams() -> Vec<StreamSchema> {
        let vector = |name: &str| Feature::new(name, DType::Float64, vec![Dim::Fixed(3)]);
        let named = vector("state").with_meta(meta::NAMES, "[\"x\",\"y\",\"z\"]");
        let stream = |id: u32, name: &str| StreamSchema {
            id: StreamId(id),
            name: name.into(),
            kind: StreamKind::Messages,
            features: vec![vector("position"), vector("velocity"), named.clone()],
            metadata: Default::default(),
        };
        vec![stream(0, "/left"), stream(1, "/right")]
    }

    #[track_caller]
    fn check(parts: &[(usize, usize, Pick)], expected: Option<&[&str]>) {
        let part = |it: &(usize, usize, Pick)| Part { stream: it.0, column: it.1, pick: it.2.clone() };
        let parts: Vec<Part> = parts.iter().map(part).collect();
        let found = element_names(&parts, &streams());
        assert_eq!(found, expected.map(|it| serde_json::to_string(it).unwrap()));
    }

    #[test]
    fn every_element_has_a_name_of_its_own() {
        let by_name = || Pick::Names { at: 0, wanted: vec!["a".to_owned(), "b, c".to_owned()].into() };
        check(&[(0, 0, by_name())], Some(&["a", "b, c"]));
        check(
            &[(0, 0, by_name()), (0, 1, by_name())],
            Some(&["position.a", "position.b, c", "velocity.a", "velocity.b, c"]),
        );
        check(
            &[(0, 0, by_name()), (1, 0, by_name())],
            Some(&["/left.position.a", "/left.position.b, c", "/right.position.a", "/right.position.b, c"]),
        );
        check(&[(0, 2, Pick::Items(vec![2, 0]))], Some(&["z", "x"]));
        check(&[(0, 0, by_name()), (0, 2, Pick::All)], Some(&["a", "b, c", "x", "y", "z"]));
        check(&[(0, 0, by_name()), (0, 1, Pick::All)], None);
        check(&[(0, 2, Pick::Items(vec![9]))], None);
    }
}
