use nodedata_message::{JsonKind, JsonMember, JsonType};

/// For each column of records of a type, in order, the key of the record's own that it is the value of; `None` below
/// one.
pub(crate) fn own_keys(types: &JsonType) -> Vec<Option<&str>> {
    let JsonKind::Object(members) = &types.kind else { return vec![None] };
    let of_member = |it: &'_ JsonMember| match (&it.value.kind, it.value.n_leaves()) {
        (JsonKind::Object(_), n) => vec![None; n],
        (JsonKind::List(item), n) if matches!(innermost(item), JsonKind::Object(_)) => vec![None; n],
        _ => vec![Some(())],
    };
    let keys = members
        .iter()
        .flat_map(|member| of_member(member).into_iter().map(|it| it.map(|()| member.key.as_str())));
    keys.collect()
}

/// For each column of records of a type, in order, whether a record has one value for it: in a list of objects it has many.
pub(crate) fn have_one_value(types: &JsonType) -> Vec<bool> {
    match &types.kind {
        JsonKind::Object(members) => members.iter().flat_map(|it| have_one_value(&it.value)).collect(),
        _ => vec![!matches!(innermost(types), JsonKind::Object(_)); types.n_leaves()],
    }
}

fn innermost(types: &JsonType) -> &JsonKind {
    match &types.kind {
        JsonKind::List(item) => innermost(item),
        other => other,
    }
}
