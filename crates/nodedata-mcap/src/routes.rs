use nodedata_core::StreamId;

use crate::definitions::Place;

/// What happens to the messages of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// No Channel record declares it.
    Unknown,
    /// Its topic was not asked for.
    Unselected,
    /// They are rows of the stream at this position.
    Stream(usize),
}

/// The routes of one file's channels.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    by_channel: Vec<Route>,
    /// Channels that are declared twice with different meaning, and from where on.
    ambiguous: Vec<(u16, Place)>,
}

impl Routes {
    pub(crate) fn set(&mut self, channel_id: u16, route: Route) {
        let idx = usize::from(channel_id);
        if self.by_channel.len() <= idx {
            self.by_channel.resize(idx + 1, Route::Unknown);
        }
        self.by_channel[idx] = route;
    }

    /// Messages of the channel that come at `place` or later belong to nobody.
    pub(crate) fn set_ambiguous(&mut self, channel_id: u16, place: Place) {
        self.ambiguous.push((channel_id, place));
    }

    #[inline]
    pub(crate) fn of(&self, channel_id: u16) -> Route {
        self.by_channel.get(usize::from(channel_id)).copied().unwrap_or(Route::Unknown)
    }

    #[inline]
    pub(crate) fn is_ambiguous(&self, channel_id: u16, place: Place) -> bool {
        self.ambiguous.iter().any(|(id, from)| *id == channel_id && *from <= place)
    }

    /// The same routes where `keep` says so; other declared channels are not selected.
    pub(crate) fn only(&self, keep: impl Fn(Route) -> bool) -> Self {
        let by_channel = self.by_channel.iter().map(|it| match *it {
            Route::Unknown => Route::Unknown,
            route if keep(route) => route,
            Route::Unselected | Route::Stream(_) => Route::Unselected,
        });
        Self { by_channel: by_channel.collect(), ambiguous: self.ambiguous.clone() }
    }

    /// Whether any channel is selected.
    pub(crate) fn leads_anywhere(&self) -> bool {
        self.by_channel.iter().any(|it| matches!(it, Route::Stream(_)))
    }

    /// The stream of a channel, when it is selected.
    pub(crate) fn stream_id(&self, channel_id: u16) -> Option<StreamId> {
        match self.of(channel_id) {
            Route::Stream(stream) => u32::try_from(stream).ok().map(StreamId),
            Route::Unknown | Route::Unselected => None,
        }
    }
}
