use chrono::{DateTime, Utc};
use nodedata_core::Result;
use nodedata_registry::{B3, LEASE_SECONDS};
use rusqlite::{OptionalExtension as _, params};

use crate::database::{Database, failed};

impl Database {
    /// Notes that a push of an account brings a blob by parts. Says which earlier push of the same account it goes on
    /// from, if there is one: that one does not get its parts back, so that two pushes never take them from each other.
    pub(crate) fn begin_staging(
        &self,
        account: &str,
        b3: &B3,
        push: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<String>> {
        self.at_once(|at_once| {
            let begun = at_once.execute(
                "INSERT OR IGNORE INTO stagings (account, b3, push, begun) VALUES (?1, ?2, ?3, ?4)",
                params![account, b3.0, push, now.timestamp()],
            );
            if begun.map_err(failed)? == 0 {
                return Ok(None);
            }
            let earlier: Option<(i64, String)> = at_once
                .query_row(
                    "SELECT seq, push FROM stagings WHERE account = ?1 AND b3 = ?2 AND push <> ?3 AND handed_over = 0 \
                     ORDER BY seq DESC LIMIT 1",
                    params![account, b3.0, push],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()
                .map_err(failed)?;
            if let Some((seq, _)) = &earlier {
                at_once.execute("UPDATE stagings SET handed_over = 1 WHERE seq = ?1", [seq]).map_err(failed)?;
            }
            // Of pushes that nobody goes on with, the store drops the parts as well. They came first, so only the first few are
            // looked at: a push asks for thousands of blobs one after the other.
            let oldest = now.timestamp() - 2 * LEASE_SECONDS.cast_signed();
            at_once
                .execute(
                    "DELETE FROM stagings \
                     WHERE seq IN (SELECT seq FROM stagings ORDER BY seq LIMIT 16) AND begun < ?1",
                    [oldest],
                )
                .map_err(failed)?;
            Ok(earlier.map(|(_, push)| push))
        })
    }

    /// Forgets the pushes of an account that brought a blob: it is whole.
    pub(crate) fn end_stagings(&self, account: &str, b3: &B3) -> Result<()> {
        self.lock()
            .prepare_cached("DELETE FROM stagings WHERE account = ?1 AND b3 = ?2")
            .and_then(|mut it| it.execute(params![account, b3.0]))
            .map(drop)
            .map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_push_goes_on_and_an_earlier_one_takes_nothing_back() {
        let database = Database::open(None).unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let b3 = B3::of(b"x");
        let begin = |account: &str, push: &str| database.begin_staging(account, &b3, push, now).unwrap();
        assert_eq!(begin("a", "p1"), None);
        assert_eq!(begin("a", "p1"), None);
        assert_eq!(begin("b", "p2"), None, "another account");
        assert_eq!(begin("a", "p2").as_deref(), Some("p1"));
        assert_eq!(begin("a", "p1"), None, "it was handed over");
        assert_eq!(begin("a", "p3").as_deref(), Some("p2"));
        database.end_stagings("a", &b3).unwrap();
        assert_eq!(begin("a", "p4"), None);
        let later = now + chrono::Duration::days(5);
        assert_eq!(database.begin_staging("a", &B3::of(b"y"), "p5", later).unwrap(), None);
        assert_eq!(database.begin_staging("a", &b3, "p6", later).unwrap(), None, "too old");
    }
}
