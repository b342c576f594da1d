use std::collections::BTreeMap;

use nodedata_core::StreamId;

use crate::Position;

/// What happens to the messages of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Nothing declares it.
    Unknown,
    /// Its topic was not asked for.
    Unselected,
    /// They are rows of the stream at this position.
    Stream(usize),
}

/// Ids below this have their routes in a table: whatever id a file claims, no more is set aside for it.
const TABLE_LEN: u32 = 1 << 16;

/// The routes of one file's channels.
#[derive(Debug, Default)]
pub struct Routes {
    /// Of small ids, which nearly all are.
    by_channel: Vec<Route>,
    /// Of ids that are too large for a table.
    others: BTreeMap<u32, Route>,
    /// Channels that are declared twice with different meaning, and from where on.
    ambiguous: Vec<(u32, Position)>,
}

impl Routes {
    /// Sets where the messages of a channel go.
    pub fn set(&mut self, channel_id: u32, route: Route) {
        if TABLE_LEN <= channel_id {
            self.others.insert(channel_id, route);
            return;
        }
        let idx = channel_id as usize;
        if self.by_channel.len() <= idx {
            self.by_channel.resize(idx + 1, Route::Unknown);
        }
        self.by_channel[idx] = route;
    }

    /// Messages of the channel that come at `place` or later belong to nobody.
    pub fn set_ambiguous(&mut self, channel_id: u32, place: Position) {
        self.ambiguous.push((channel_id, place));
    }

    /// Where the messages of a channel go.
    #[inline]
    pub fn of(&self, channel_id: u32) -> Route {
        match self.by_channel.get(channel_id as usize) {
            Some(route) => *route,
            None => self.others.get(&channel_id).copied().unwrap_or(Route::Unknown),
        }
    }

    /// Whether nobody knows whose message it is that comes on the channel at `place`.
    #[inline]
    pub fn is_ambiguous(&self, channel_id: u32, place: Position) -> bool {
        self.ambiguous.iter().any(|(id, from)| *id == channel_id && *from <= place)
    }

    /// Whether there is a place from which on nobody knows whose messages those of the channel are.
    pub fn is_ever_ambiguous(&self, channel_id: u32) -> bool {
        self.ambiguous.iter().any(|(id, _)| *id == channel_id)
    }

    /// The same routes where `keep` says so; other declared channels are not selected.
    pub fn only(&self, keep: impl Fn(Route) -> bool) -> Self {
        let kept = |route: Route| match route {
            Route::Unknown => Route::Unknown,
            route if keep(route) => route,
            Route::Unselected | Route::Stream(_) => Route::Unselected,
        };
        Self {
            by_channel: self.by_channel.iter().map(|it| kept(*it)).collect(),
            others: self.others.iter().map(|(id, it)| (*id, kept(*it))).collect(),
            ambiguous: self.ambiguous.clone(),
        }
    }

    /// The streams of the channels that are selected; one for each of these.
    pub(crate) fn streams(&self) -> impl Iterator<Item = usize> + '_ {
        self.by_channel.iter().chain(self.others.values()).filter_map(|it| match it {
            Route::Stream(stream) => Some(*stream),
            Route::Unknown | Route::Unselected => None,
        })
    }

    /// Whether any channel is selected.
    pub fn leads_anywhere(&self) -> bool {
        self.streams().next().is_some()
    }

    /// The stream of a channel, when it is selected.
    pub fn stream_id(&self, channel_id: u32) -> Option<StreamId> {
        match self.of(channel_id) {
            Route::Stream(stream) => u32::try_from(stream).ok().map(StreamId),
            Route::Unknown | Route::Unselected => None,
        }
    }
}
