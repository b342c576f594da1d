use nodedata_core::Result;

use super::{
    super::parser::{Body, Branch, Declaration, Declarations, RawType, Value},
    field_type, integer,
};
use crate::definition::{BranchDef, FieldDef, FieldType, Primitive, UnionDef};

/// A union; `None` where its discriminator or a label is not what a number stands for.
///
/// # Errors
/// As those of the types of its branches.
pub(super) fn resolve(
    declarations: &Declarations,
    name: &str,
    declaration: &Declaration,
) -> Result<Option<UnionDef>> {
    let Body::Union { discriminator, branches, extensibility } = &declaration.body else { return Ok(None) };
    let scope = declaration.scope.as_str();
    let typed = |raw: &RawType| field_type(declarations, scope, name, raw, 0);
    let field = |name: &str, field_type: FieldType, member_id: usize| FieldDef {
        name: name.to_owned(),
        field_type,
        member_id: u32::try_from(member_id).unwrap_or(u32::MAX),
        optional: true,
        unit: None,
    };
    let discriminator = typed(discriminator)?;
    let names = match &discriminator {
        FieldType::Primitive(it) if it.is_integer() || *it == Primitive::Bool => None,
        FieldType::Named(full) => match declarations.get(full).map(|it| &it.body) {
            Some(Body::Enum { values, .. }) => Some(values),
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let label = |value: &Value| match value {
        Value::Scoped(text) => {
            let last = text.rsplit("::").next().unwrap_or(text);
            let named = names.and_then(|it| it.iter().find(|it| it.0 == last)).map(|it| i128::from(it.1));
            let of_bool = match (&discriminator, last) {
                (FieldType::Primitive(Primitive::Bool), "TRUE") => Some(1),
                (FieldType::Primitive(Primitive::Bool), "FALSE") => Some(0),
                _ => None,
            };
            named.or(of_bool).or_else(|| integer(declarations, scope, value))
        }
        Value::Integer(_) | Value::Other => integer(declarations, scope, value),
    };
    let mut resolved = Vec::new();
    for (idx, Branch { labels, is_default, name, raw_type }) in branches.iter().enumerate() {
        let Some(labels) = labels.iter().map(label).collect::<Option<Vec<i128>>>() else { return Ok(None) };
        let field = field(name, typed(raw_type)?, idx);
        resolved.push(BranchDef { labels, is_default: *is_default, field });
    }
    let discriminator = field("discriminator", discriminator, 0);
    Ok(Some(UnionDef { discriminator, branches: resolved, extensibility: *extensibility }))
}
