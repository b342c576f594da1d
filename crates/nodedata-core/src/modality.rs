use crate::nearest;

/// Words for what a dataset holds, as people look for them. Others may be used: nobody knows all sensors.
const MODALITIES: [&str; 25] = [
    "action",
    "audio",
    "depth",
    "ecg",
    "eeg",
    "emg",
    "event",
    "force",
    "gps",
    "imu",
    "infrared",
    "language",
    "lidar",
    "point-cloud",
    "pose",
    "proprioception",
    "radar",
    "rgb",
    "rgbd",
    "segmentation",
    "tactile",
    "text",
    "thermal",
    "torque",
    "video",
];

/// The known word that a modality is probably a slip of; `None` for a known word, and for one that is like none.
pub fn misspelt_modality(word: &str) -> Option<&'static str> {
    if MODALITIES.contains(&word) {
        return None;
    }
    nearest(word, MODALITIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_and_words_of_ones_own_are_not() {
        for (word, meant) in [("rbg", "rgb"), ("Depth", "depth"), ("propioception", "proprioception")] {
            assert_eq!(misspelt_modality(word), Some(meant));
        }
        for word in ["rgb", "action", "magnetometer", "odour"] {
            assert_eq!(misspelt_modality(word), None, "{word}");
        }
    }
}
