//! A straight line through samples of memory, and how sure it is.

/// The samples of a run are joined to so many means: what neighbours have in common counts once then.
const BLOCKS: usize = 20;
/// Fewer means say nothing.
const FEWEST: usize = 5;
/// Student's t for 95 % and 18 degrees of freedom.
const T_95: f64 = 2.101;
/// A correlation beyond this says that the run is too short to tell.
const MOST_ALIKE: f64 = 0.9;
const SECONDS_PER_HOUR: f64 = 3_600.0;

/// How memory changes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Slope {
    /// Per cent of the mean, an hour.
    pub(super) percent: f64,
    /// Half the width of the interval that holds the true slope 95 times of 100.
    pub(super) either_way: f64,
    /// The mean itself, in the unit of the samples.
    pub(super) mean: f64,
}

impl Slope {
    /// Whether memory surely grows by more than this an hour.
    pub(super) fn exceeds(&self, percent: f64) -> bool {
        self.percent - self.either_way > percent
    }
}

/// The slope by least squares of the second half of samples of seconds and memory; the first half warms up.
pub(super) fn slope(samples: &[(f64, f64)]) -> Option<Slope> {
    let half = samples.get(samples.len() / 2..)?;
    let size = half.len().div_ceil(BLOCKS).max(1);
    let means: Vec<(f64, f64)> = half.chunks_exact(size).map(mean).collect();
    if means.len() < FEWEST {
        return None;
    }
    let (time, memory) = mean(&means);
    let spread: f64 = means.iter().map(|(x, _)| (x - time).powi(2)).sum();
    let slope = means.iter().map(|(x, y)| (x - time) * (y - memory)).sum::<f64>() / spread;
    let off: Vec<f64> = means.iter().map(|(x, y)| y - memory - slope * (x - time)).collect();
    let squares: f64 = off.iter().map(|off| off * off).sum();
    let error = (squares / (means.len() as f64 - 2.0) / spread).sqrt();
    // What lasts longer than a block makes neighbours alike: there are fewer of them than it seems, by the correlation of
    // each with the next.
    let alike: f64 = off.iter().zip(off.iter().skip(1)).map(|(off, next)| off * next).sum();
    let alike = if squares > 0.0 { (alike / squares).clamp(0.0, MOST_ALIKE) } else { 0.0 };
    let error = error * ((1.0 + alike) / (1.0 - alike)).sqrt();
    let percent = |slope: f64| slope * SECONDS_PER_HOUR / memory * 100.0;
    Some(Slope { percent: percent(slope), either_way: T_95 * percent(error), mean: memory })
}

fn mean(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() as f64;
    let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    (sum.0 / count, sum.1 / count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half an hour, a sample each 5 s: 100 MiB that grow by this much an hour, on a saw of 1 MiB.
    fn samples(percent: f64) -> Vec<(f64, f64)> {
        let at = |number: u32| f64::from(number) * 5.0;
        let saw = |number: u32| f64::from(number * 7 % 10) / 10.0;
        (0..360).map(|number| (at(number), 100.0 + saw(number) + percent * at(number) / SECONDS_PER_HOUR)).collect()
    }

    #[test]
    fn growth_is_seen_through_noise() {
        for percent in [0.0, 3.0, -3.0] {
            let found = slope(&samples(percent)).unwrap();
            assert!((found.percent - percent).abs() < 0.5, "{found:?}");
            assert_eq!(found.exceeds(1.0), percent > 1.0, "{found:?}");
        }
    }

    #[test]
    fn what_warms_up_does_not_count() {
        let mut samples = samples(0.0);
        samples[..180].iter_mut().for_each(|(at, memory)| *memory = *at / 10.0);
        assert!(!slope(&samples).unwrap().exceeds(1.0));
    }

    #[test]
    fn noise_that_lasts_is_no_growth() {
        // Waves of ten minutes, of which the second half has one and a half.
        let wave = |number: u32| 100.0 + (f64::from(number) / 120.0 * std::f64::consts::TAU).cos();
        let waves: Vec<_> = (0..360_u32).map(|number| (f64::from(number) * 5.0, wave(number))).collect();
        let found = slope(&waves).unwrap();
        assert!(found.percent.abs() > 1.0 && !found.exceeds(1.0), "{found:?}");
    }

    #[test]
    fn noise_alone_is_no_growth_and_few_samples_are_none() {
        let wide: Vec<_> = (0..40_u32).map(|number| (f64::from(number), f64::from(number * 17 % 29))).collect();
        assert!(!slope(&wide).unwrap().exceeds(1.0));
        assert_eq!(slope(&wide[..4]), None);
    }
}
