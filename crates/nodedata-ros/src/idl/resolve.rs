mod union;

use std::collections::BTreeSet;

use nodedata_core::{ErrorKind, Result};

use super::parser::{Body, Declaration, Declarations, Member, RawType, Value, joined, parse_part};
use crate::{
    definition::{
        Constant, DEPTH_MAX, EnumDef, Extensibility, FieldDef, FieldType, StructDef, TypeDef, bad_definition,
    },
    msg::array_size,
    parts::Part,
};

/// Fields all structs of a text may have together.
const FIELDS_MAX: usize = 1 << 18;

/// Parses IDL parts, which may use each other's names in any order, into types by full name.
pub(crate) fn parse(parts: &[Part<'_>]) -> Result<Vec<(String, TypeDef)>> {
    let mut declarations = Declarations::new();
    for part in parts {
        parse_part(part, &mut declarations)?;
    }
    let mut types = Vec::new();
    let mut n_fields = 0;
    for (name, declaration) in &declarations {
        let definition = match &declaration.body {
            Body::Struct { extensibility: Some(Extensibility::Mutable), has_hashed_ids: true, .. } => {
                TypeDef::Refused("a mutable struct with hashed member ids")
            }
            Body::Struct { extensibility, .. } => {
                TypeDef::Struct(structure(&declarations, name, declaration, *extensibility, &mut n_fields)?)
            }
            Body::Enum { values, primitive } => {
                TypeDef::Enum(EnumDef { values: values.clone(), primitive: *primitive })
            }
            Body::Union { extensibility: Some(Extensibility::Mutable), .. } => {
                TypeDef::Refused("a mutable union")
            }
            // What is wrong with it is an error only where it is used.
            Body::Union { .. } => match union::resolve(&declarations, name, declaration) {
                Ok(Some(union)) => TypeDef::Union(union),
                Ok(None) => TypeDef::Refused("a union whose labels are no numbers"),
                Err(_) => TypeDef::Refused("a union with a branch of a type that cannot be used"),
            },
            Body::Refused(what) => TypeDef::Refused(what),
            Body::Typedef(_) | Body::Const { .. } => continue,
        };
        types.push((name.clone(), definition));
    }
    Ok(types)
}

fn structure(
    declarations: &Declarations,
    name: &str,
    declaration: &Declaration,
    extensibility: Option<Extensibility>,
    n_fields: &mut usize,
) -> Result<StructDef> {
    let mut fields: Vec<FieldDef> = Vec::new();
    let mut names = BTreeSet::new();
    for (scope, member) in inherited_members(declarations, name, declaration)? {
        // rosidl gives a message without fields this one; it is padding, not data.
        if member.name == "structure_needs_at_least_one_member" {
            continue;
        }
        if !names.insert(&member.name) {
            let field = &member.name;
            return Err(bad_definition(
                ErrorKind::Corrupt,
                format!("field `{field}` of {name} is defined twice"),
            ));
        }
        // Inherited members count again in every struct that extends their own.
        *n_fields += 1;
        if *n_fields > FIELDS_MAX {
            return Err(bad_definition(
                ErrorKind::Limit,
                format!("the structs up to {name} have more than {FIELDS_MAX} fields"),
            ));
        }
        let next_id = fields.last().map_or(0, |it| it.member_id.saturating_add(1));
        fields.push(FieldDef {
            name: member.name.clone(),
            field_type: field_type(declarations, scope, name, &member.raw_type, 0)?,
            member_id: member.id.unwrap_or(next_id),
            optional: member.optional,
            unit: member.unit.clone(),
        });
    }
    let constants = constants(declarations, name);
    Ok(StructDef { fields, constants, extensibility })
}

/// The members of a struct after those of the structs it extends, each with the scope it was written in.
fn inherited_members<'a>(
    declarations: &'a Declarations,
    name: &str,
    declaration: &'a Declaration,
) -> Result<Vec<(&'a str, &'a Member)>> {
    let mut chain = Vec::new();
    let mut current = declaration;
    while let Body::Struct { base, members, .. } = &current.body {
        chain.push((current.scope.as_str(), members));
        let Some(base) = base else { break };
        let found = lookup(declarations, &current.scope, base);
        let Some((_, found)) = found.filter(|(_, it)| matches!(it.body, Body::Struct { .. })) else {
            return Err(bad_definition(
                ErrorKind::Corrupt,
                format!("{name} extends {base}, which is not defined"),
            ));
        };
        if chain.len() > DEPTH_MAX {
            return Err(bad_definition(
                ErrorKind::Limit,
                format!("{name} extends more than {DEPTH_MAX} structs"),
            ));
        }
        current = found;
    }
    let members = chain.into_iter().rev();
    Ok(members.flat_map(|(scope, members)| members.iter().map(move |it| (scope, it))).collect())
}

/// Integer constants of the module `X_Constants`, which rosidl writes beside the struct `X`.
fn constants(declarations: &Declarations, name: &str) -> Vec<Constant> {
    let prefix = format!("{name}_Constants/");
    declarations
        .range(prefix.clone()..)
        .take_while(|(full, _)| full.starts_with(&prefix))
        .filter_map(|(full, declaration)| {
            let Body::Const { primitive: Some(primitive), value } = &declaration.body else { return None };
            let value = integer(declarations, &declaration.scope, value)?;
            let name = full[prefix.len()..].to_owned();
            let integer_type = primitive.is_integer();
            integer_type.then_some(Constant { name, primitive: *primitive, value })
        })
        .collect()
}

fn field_type(
    declarations: &Declarations,
    scope: &str,
    owner: &str,
    raw: &RawType,
    depth: usize,
) -> Result<FieldType> {
    if depth > DEPTH_MAX {
        return Err(bad_definition(
            ErrorKind::Limit,
            format!("a type in {owner} nests more than {DEPTH_MAX} deep, or contains itself"),
        ));
    }
    let inner = |item: &RawType| field_type(declarations, scope, owner, item, depth + 1).map(Box::new);
    let size = |value: &Value| {
        let value = integer(declarations, scope, value).ok_or_else(|| {
            let message = format!("a size in {owner} is an expression, or a constant that is not defined");
            bad_definition(ErrorKind::Unsupported, message)
        })?;
        array_size(Some(value), "a size", owner)
    };
    Ok(match raw {
        RawType::Primitive(primitive) => FieldType::Primitive(*primitive),
        RawType::Text { wide, bound } => {
            FieldType::Text { wide: *wide, bound: bound.as_ref().map(size).transpose()? }
        }
        RawType::Sequence { item, bound } => {
            FieldType::Sequence { item: inner(item)?, bound: bound.as_ref().map(size).transpose()? }
        }
        RawType::Array { dims, .. } if dims.len() > DEPTH_MAX => {
            return Err(bad_definition(
                ErrorKind::Limit,
                format!("an array in {owner} has {} dimensions, more than {DEPTH_MAX}", dims.len()),
            ));
        }
        RawType::Array { item, dims } => {
            FieldType::Array { item: inner(item)?, dims: dims.iter().map(size).collect::<Result<_>>()? }
        }
        RawType::Refused(what) => FieldType::Refused(what),
        RawType::Scoped(name) => match lookup(declarations, scope, name) {
            Some((_, Declaration { scope, body: Body::Typedef(raw) })) => {
                field_type(declarations, scope, owner, raw, depth + 1)?
            }
            Some((full, _)) => FieldType::Named(full.to_owned()),
            // Perhaps one of the well-known types; the compiler says so if not.
            None => FieldType::Named(name.trim_start_matches("::").replace("::", "/")),
        },
    })
}

/// The declaration `name` means inside `scope`: the innermost one that has it.
fn lookup<'a>(declarations: &'a Declarations, scope: &str, name: &str) -> Option<(&'a str, &'a Declaration)> {
    let path = name.replace("::", "/");
    let entry = |full: &str| declarations.get_key_value(full).map(|(name, it)| (name.as_str(), it));
    if let Some(absolute) = path.strip_prefix('/') {
        return entry(absolute);
    }
    let mut scope = scope;
    loop {
        if let Some(found) = entry(&joined(scope, &path)) {
            return Some(found);
        }
        if scope.is_empty() {
            return None;
        }
        scope = scope.rsplit_once('/').map_or("", |(outer, _)| outer);
    }
}

fn integer(declarations: &Declarations, scope: &str, value: &Value) -> Option<i128> {
    let (mut scope, mut value) = (scope, value);
    for _ in 0..DEPTH_MAX {
        match value {
            Value::Integer(it) => return Some(*it),
            Value::Other => return None,
            Value::Scoped(name) => {
                let (_, declaration) = lookup(declarations, scope, name)?;
                let Body::Const { value: of_constant, .. } = &declaration.body else { return None };
                (scope, value) = (&declaration.scope, of_constant);
            }
        }
    }
    None
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
