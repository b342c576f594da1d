use std::sync::Arc;

use arrow_schema::{DataType, Field, FieldRef, Fields};

/// The fields of a schema as its record batches fill them: whether each level may be null is whether it ever is. `nodes` has that for
/// each, in the order of the format; without any there are no rows.
pub(super) fn noted(fields: &Fields, nodes: &[bool], null_dictionaries: &[i64]) -> Fields {
    let mut nodes = nodes.iter().copied();
    let mut walk = Walk { nodes: &mut nodes, null_dictionaries };
    fields.iter().map(|it| walk.field(it)).collect()
}

struct Walk<'a> {
    nodes: &'a mut dyn Iterator<Item = bool>,
    null_dictionaries: &'a [i64],
}

impl Walk<'_> {
    fn field(&mut self, field: &FieldRef) -> FieldRef {
        let mut has_nulls = self.nodes.next().unwrap_or(false);
        let data_type = match field.data_type() {
            DataType::List(item) => DataType::List(self.field(item)),
            DataType::LargeList(item) => DataType::LargeList(self.field(item)),
            DataType::ListView(item) => DataType::ListView(self.field(item)),
            DataType::LargeListView(item) => DataType::LargeListView(self.field(item)),
            DataType::FixedSizeList(item, n) => DataType::FixedSizeList(self.field(item), *n),
            DataType::Map(entries, sorted) => DataType::Map(self.field(entries), *sorted),
            DataType::Struct(members) => DataType::Struct(members.iter().map(|it| self.field(it)).collect()),
            DataType::Union(members, mode) => {
                // A column that no feature has; its nodes are passed over.
                members.iter().for_each(|(_, it)| drop(self.field(it)));
                DataType::Union(members.clone(), *mode)
            }
            DataType::RunEndEncoded(ends, values) => {
                let ends = self.field(ends);
                DataType::RunEndEncoded(ends, self.field(values))
            }
            DataType::Dictionary(keys, values) => {
                // Nothing tells where the nulls of nested values are.
                has_nulls |= values.is_nested() || self.is_null_dictionary(field);
                DataType::Dictionary(keys.clone(), values.clone())
            }
            other => other.clone(),
        };
        Arc::new(field.as_ref().clone().with_data_type(data_type).with_nullable(has_nulls))
    }

    fn is_null_dictionary(&self, field: &Field) -> bool {
        #[expect(deprecated, reason = "the one place where a dictionary's id is kept")]
        let id = field.dict_id();
        id.is_some_and(|it| self.null_dictionaries.contains(&it))
    }
}
