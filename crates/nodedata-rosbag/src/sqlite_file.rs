//! A bag's messages in an SQLite database, of any schema that rosbag2 ever wrote.

mod cursor;
mod message;
mod topics;
mod units;

use std::{ops::Range, path::Path, sync::Arc};

use nodedata_core::{Error, ErrorKind, OpenOptions, Result};
use nodedata_log::{
    ClockColumns, Cost, Damage, LogFacts, LogFile, LogStorage, MessageCursor, Selector, StoredFile, Unit,
};

use self::{cursor::SqliteCursor, message::MessageColumns, units::LeafUnit};
use crate::sqlite::{
    database::{COMPANIONS, Database},
    header::MAGIC,
    page::PageSet,
    schema::Table,
};

/// SQLite databases as a storage of bags.
pub static SQLITE3: Sqlite3 = Sqlite3;

/// See [`SQLITE3`].
#[derive(Debug, Clone, Copy)]
pub struct Sqlite3;

impl LogStorage for Sqlite3 {
    fn claims(&self, path: &Path) -> bool {
        path.extension().is_some_and(|it| it.eq_ignore_ascii_case("db3"))
    }

    fn begins(&self, head: &[u8]) -> bool {
        head.starts_with(MAGIC)
    }

    fn is_bag(&self, head: &[u8]) -> bool {
        // The texts of its tables lie in the first page.
        let has = |word: &[u8]| head.windows(word.len()).any(|it| it == word);
        head.starts_with(MAGIC) && has(b"topic_id") && has(b"serialization_format")
    }

    fn companions(&self) -> &'static [&'static str] {
        COMPANIONS
    }

    fn leftovers(&self) -> &'static [&'static str] {
        &["-shm"]
    }

    fn open(&self, file: StoredFile<'_>, options: &OpenOptions) -> Result<(Box<dyn LogFile>, LogFacts)> {
        let (log, facts) = SqliteLog::plan(&file, options)?;
        Ok((Box::new(log), facts))
    }
}

/// One database, planned.
pub(crate) struct SqliteLog {
    messages: Arc<Messages>,
    /// Up to where in the file the tables lie that say what messages mean.
    defined_up_to: u64,
}

/// Where the messages of a database are.
pub(crate) struct Messages {
    database: Database,
    columns: MessageColumns,
    units: Vec<LeafUnit>,
    /// Pages, in the order of units.
    leaves: Vec<u32>,
}

impl SqliteLog {
    fn plan(file: &StoredFile<'_>, options: &OpenOptions) -> Result<(Self, LogFacts)> {
        let limit = options.record_bytes_max;
        let mut database = Database::open(file, options.salvage)?;
        let mut facts = LogFacts::default();
        let tell =
            |it| Damage { error: it, cost: Cost { uncounted: true, ..Cost::nothing("damaged_database") } };
        facts.damage.extend(std::mem::take(&mut database.damage).into_iter().map(tell));
        facts.warnings.append(&mut database.told);
        let mut reached = PageSet::up_to(database.pages.n_there());
        let mut met = Vec::new();
        let mut on_damage = |error: Error| {
            if !options.salvage || error.kind() == ErrorKind::Io {
                return Err(error);
            }
            met.push(error);
            Ok(())
        };
        let tables = database.tables(limit, &mut reached, &mut on_damage)?;
        let by_name = |name: &str| tables.iter().find(|it| it.name == name);
        let Some(messages) = by_name("messages") else { return Err(no_bag(&tables, "messages")) };
        let Some(topics) = by_name("topics") else { return Err(no_bag(&tables, "topics")) };
        let columns = MessageColumns::of(messages)?;
        let declared = topics::read(&database, topics, by_name, limit, &mut reached, &mut on_damage)?;
        for contradiction in declared.add_to(&mut facts) {
            on_damage(contradiction)?;
        }
        facts.damage.extend(met.into_iter().map(tell));
        let defined_up_to = (1..=database.pages.n_there())
            .filter(|it| reached.has(*it))
            .map(|it| database.pages.own_end(it))
            .max()
            .unwrap_or(0);
        let planned = units::plan(&database, messages.root, &columns, &mut reached, options, &mut facts)?;
        let (units, leaves) = planned;
        let messages = Arc::new(Messages { database, columns, units, leaves });
        Ok((Self { messages, defined_up_to }, facts))
    }
}

fn no_bag(tables: &[Table], missing: &str) -> Error {
    let names: Vec<String> = tables.iter().take(8).map(|it| format!("`{}`", it.name)).collect();
    let found = if names.is_empty() { "no table at all".to_owned() } else { names.join(", ") };
    let message = format!("database is no bag: it has {found}, but no table `{missing}`");
    Error::new(ErrorKind::Corrupt, message)
        .at(nodedata_core::Locus::byte(0))
        .with_hint("check that it was recorded by `ros2 bag record`, or leave it out")
}

impl LogFile for SqliteLog {
    fn clock(&self) -> ClockColumns {
        ClockColumns { publish_time: false, sequence: false }
    }

    fn n_units(&self) -> usize {
        self.messages.units.len()
    }

    fn unit(&self, idx: usize) -> Unit {
        let LeafUnit { bytes, decoded_bytes, times, .. } = &self.messages.units[idx];
        Unit { byte_range: bytes.clone(), decoded_bytes: *decoded_bytes, times: *times }
    }

    fn counts(&self, idx: usize) -> Option<&[(u32, u64)]> {
        self.messages.units[idx].counts.as_deref()
    }

    fn reads(&self, units: Range<usize>) -> Vec<Range<u64>> {
        let units = &self.messages.units[units];
        // Units that lie in another file are told with that.
        let own = || units.iter().filter(|it| it.part == 0);
        let start = own().map(|it| it.bytes.start).min().unwrap_or(0);
        let ends = units.iter().map(|it| it.own_end).chain([self.defined_up_to, start]);
        std::iter::once(start..ends.max().unwrap_or(0)).collect()
    }

    fn messages(
        &self,
        units: Range<usize>,
        selector: Selector,
        options: &OpenOptions,
    ) -> Box<dyn MessageCursor> {
        Box::new(SqliteCursor::new(Arc::clone(&self.messages), units, selector, options.record_bytes_max))
    }
}
