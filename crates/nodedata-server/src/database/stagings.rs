use chrono::{DateTime, Utc};
use nodedata_core::Result;
use nodedata_registry::{B3, LEASE_SECONDS};

use crate::database::Database;

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
                "INSERT INTO stagings (account, b3, push, begun) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
                &[account.into(), (&b3.0).into(), push.into(), now.timestamp().into()],
            )?;
            if begun == 0 {
                return Ok(None);
            }
            let earlier = at_once
                .row(
                    "SELECT seq, push FROM stagings WHERE account = ?1 AND b3 = ?2 AND push <> ?3 AND handed_over = 0 \
                     ORDER BY seq DESC LIMIT 1",
                    &[account.into(), (&b3.0).into(), push.into()],
                    |row| Ok((row.get::<i64>(0)?, row.get::<String>(1)?)),
                )?;
            if let Some((seq, _)) = &earlier {
                at_once.execute("UPDATE stagings SET handed_over = 1 WHERE seq = ?1", &[(*seq).into()])?;
            }
            // Of pushes that nobody goes on with, the store drops the parts as well. They came first, so only the first few are
            // looked at: a push asks for thousands of blobs one after the other.
            let oldest = now.timestamp() - 2 * LEASE_SECONDS.cast_signed();
            at_once
                .execute(
                    "DELETE FROM stagings \
                     WHERE seq IN (SELECT seq FROM stagings ORDER BY seq LIMIT 16) AND begun < ?1",
                    &[oldest.into()],
                )?;
            Ok(earlier.map(|(_, push)| push))
        })
    }

    /// Forgets the pushes of an account that brought a blob: it is whole.
    pub(crate) fn end_stagings(&self, account: &str, b3: &B3) -> Result<()> {
        let sql = "DELETE FROM stagings WHERE account = ?1 AND b3 = ?2";
        self.session()?.execute(sql, &[account.into(), (&b3.0).into()]).map(drop)
    }
}
