use std::collections::BTreeMap;

use nodedata_core::{Error, ErrorKind, Result};
use nodedata_registry::http::DatasetSummary;
use rusqlite::{StatementStatus, ToSql, params_from_iter};

use super::{Catalog, failed};
use crate::principal::Sees;

/// Words of a search that count.
const WORDS_MAX: usize = 8;

/// What is asked for of the catalog.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    /// What the asker may see beside what is public.
    pub(crate) sees: Sees,
    /// Where the last page ended, as it said.
    pub(crate) after: Option<String>,
    /// Datasets of a page.
    pub(crate) limit: usize,
    /// All of these words, or words that begin so, must be among what the dataset says of itself.
    pub(crate) words: Option<String>,
    pub(crate) owner: Option<String>,
    /// As records write it.
    pub(crate) class: Option<String>,
    pub(crate) is_gated: Option<bool>,
}

/// A page of datasets.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// Each with the number of the record that would be news of it.
    pub(crate) datasets: Vec<(DatasetSummary, u64)>,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<String>,
    /// Steps that the database took.
    pub(crate) n_steps: u64,
}

struct Row {
    id: i64,
    name: String,
    next_seq: u64,
    summary: String,
}

/// A condition, and the values for its question marks.
struct Condition<'a> {
    sql: String,
    values: Vec<&'a dyn ToSql>,
}

const COLUMNS: &str = "d.id, d.name, d.next_seq, d.summary";

impl Catalog {
    /// The page that is asked for: in order of name, or for a search in the order in which the server came to know them.
    ///
    /// # Errors
    /// `Config` for an `after` that no page said; `Io`.
    pub(crate) fn page(&self, query: &Query) -> Result<Listed> {
        let mut listed = Listed::default();
        let rows = match &query.words {
            Some(words) => self.found(query, &match_of(words), &mut listed.n_steps)?,
            None => self.in_order(query, &mut listed.n_steps)?,
        };
        for (idx, row) in rows.iter().enumerate() {
            if idx == query.limit {
                break;
            }
            let summary = serde_json::from_str(&row.summary).map_err(|err| {
                Error::new(ErrorKind::Corrupt, "a row of the server's catalog cannot be read")
                    .with_source(err)
            })?;
            listed.datasets.push((summary, row.next_seq));
        }
        if rows.len() > query.limit {
            let last = query.limit.checked_sub(1).and_then(|it| rows.get(it));
            listed.next =
                last.map(|it| if query.words.is_some() { it.id.to_string() } else { it.name.clone() });
        }
        Ok(listed)
    }

    /// What is public and what the asker sees besides are lists of their own, each in order by an index: whatever there is
    /// that the asker does not see costs nothing.
    fn in_order(&self, query: &Query, n_steps: &mut u64) -> Result<Vec<Row>> {
        let after = query.after.clone().unwrap_or_default();
        let limit = query.limit as i64 + 1;
        let filters = query.filters();
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        for condition in query.visible() {
            let sql = format!(
                "SELECT {COLUMNS} FROM datasets d WHERE {}{} AND d.name > ? ORDER BY d.name LIMIT ?",
                condition.sql, filters.sql
            );
            let rest: [&dyn ToSql; 2] = [&after, &limit];
            let values = condition.values.iter().chain(&filters.values).chain(&rest).copied();
            for row in self.rows(&sql, values, n_steps)? {
                rows.insert(row.name.clone(), row);
            }
        }
        Ok(rows.into_values().take(query.limit + 1).collect())
    }

    fn found(&self, query: &Query, words: &str, n_steps: &mut u64) -> Result<Vec<Row>> {
        let after = match &query.after {
            None => 0,
            Some(text) => text.parse::<i64>().map_err(|_| {
                Error::new(ErrorKind::Config, "`after` is no place in a search")
                    .with_hint("send `next` of the page before, with the same `q`")
            })?,
        };
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let limit = query.limit as i64 + 1;
        let filters = query.filters();
        let visible = query.visible();
        let each: Vec<&str> = visible.iter().map(|it| it.sql.as_str()).collect();
        // In groups: SQLite takes no chain of a thousand, and somebody may have a role on as many datasets.
        let any: Vec<String> = each.chunks(100).map(|it| format!("({})", it.join(" OR "))).collect();
        let sql = format!(
            "SELECT {COLUMNS} FROM words w CROSS JOIN datasets d ON d.id = w.rowid \
             WHERE w.words MATCH ? AND w.rowid > ? AND ({}){} ORDER BY w.rowid LIMIT ?",
            any.join(" OR "),
            filters.sql
        );
        let begin: [&dyn ToSql; 2] = [&words, &after];
        let values = begin.into_iter().chain(visible.iter().flat_map(|it| it.values.iter().copied()));
        let values = values.chain(filters.values.iter().copied()).chain([&limit as &dyn ToSql]);
        self.rows(&sql, values, n_steps)
    }

    fn rows<'a>(
        &self,
        sql: &str,
        values: impl Iterator<Item = &'a dyn ToSql>,
        n_steps: &mut u64,
    ) -> Result<Vec<Row>> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        let before = statement.get_status(StatementStatus::VmStep);
        let rows = statement.query_map(params_from_iter(values), |row| {
            let next_seq: i64 = row.get(2)?;
            Ok(Row {
                id: row.get(0)?,
                name: row.get(1)?,
                next_seq: next_seq.unsigned_abs(),
                summary: row.get(3)?,
            })
        });
        let rows = rows.map_err(failed)?.map(|it| it.map_err(failed)).collect();
        let n_taken = statement.get_status(StatementStatus::VmStep).saturating_sub(before);
        *n_steps += u64::try_from(n_taken).unwrap_or_default();
        rows
    }
}

impl Query {
    /// What the asker may see, each part by an index of its own.
    fn visible(&self) -> Vec<Condition<'_>> {
        let mut conditions = Vec::new();
        match &self.owner {
            // By the owner's index: few are of one.
            Some(owner) => conditions
                .push(Condition { sql: "d.owner = ? AND +d.is_public = 1".to_owned(), values: vec![owner] }),
            None => conditions.push(Condition { sql: "d.is_public = 1".to_owned(), values: Vec::new() }),
        }
        let is_asked = |it: &str| self.owner.as_deref().is_none_or(|owner| owner == it);
        for owner in self.sees.owners.iter().filter(|it| is_asked(it)) {
            conditions.push(Condition { sql: "d.owner = ?".to_owned(), values: vec![owner] });
        }
        let of_owner = |it: &&String| it.split_once('/').is_some_and(|(owner, _)| is_asked(owner));
        for name in self.sees.names.iter().filter(of_owner) {
            conditions.push(Condition { sql: "d.name = ?".to_owned(), values: vec![name] });
        }
        conditions
    }

    fn filters(&self) -> Condition<'_> {
        let mut filters = Condition { sql: " AND d.is_gone = 0".to_owned(), values: Vec::new() };
        if let Some(class) = &self.class {
            filters.sql.push_str(" AND d.class = ?");
            filters.values.push(class);
        }
        if let Some(is_gated) = &self.is_gated {
            filters.sql.push_str(" AND d.is_gated = ?");
            filters.values.push(is_gated);
        }
        filters
    }
}

/// Words as FTS5 takes them: each in quotes, so that nothing in them means more than itself, and as the beginning of one.
fn match_of(words: &str) -> String {
    // To the search engine a NUL is the end of the text, in the middle of the quotes.
    let words = words.split(|it: char| it.is_whitespace() || it.is_control());
    let words = words.filter(|it| it.chars().any(char::is_alphanumeric)).take(WORDS_MAX);
    words.map(|it| format!("\"{}\"*", it.replace('"', "\"\""))).collect::<Vec<_>>().join(" ")
}
