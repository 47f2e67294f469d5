//! STMaps made from rigs, for programs that remap but know no lens models.

use super::StMap;
use crate::{
    rig::{PreparedRig, Rig},
    stitch::{StitchError, StitchSettings},
};
use bevy::math::{DVec2, UVec2};

impl StMap {
    /// The map that draws what one lens of a rig sees into a stitch's picture, exact to the pixel: a picture's coordinates count across the
    /// lens's whole picture. Blending, vignetting and exposure are not in it.
    ///
    /// # Errors
    /// [`StitchError`] if the rig or a setting is unusable or there is no such lens.
    pub fn of_lens(rig: &Rig, lens: usize, settings: &StitchSettings) -> Result<Self, StitchError> {
        settings.validate()?;
        let prepared = PreparedRig::new(rig)?;
        let Some(wanted) = prepared.lenses.get(lens) else {
            let reason = format!("is {lens}, but the rig “{}” has {} lenses, counted from 0", rig.name, rig.lenses.len());
            return Err(StitchError::Setting { setting: "lens", reason });
        };
        let size = UVec2::from_array(settings.size_px);
        let picture = prepared.pictures[wanted.picture].as_dvec2();
        let rig_from_view = settings.orientation.matrix();
        let distance_m = settings.distance_m.map(f64::from);
        let mut coordinates = vec![[-1.0_f32; 2]; size.x as usize * size.y as usize];
        for chart in settings.view.charts(size, &prepared)? {
            for y in chart.min.y..chart.max.y {
                for x in chart.min.x..chart.max.x {
                    let point = DVec2::new(f64::from(x), f64::from(y)) + 0.5;
                    if chart.inside_px(point, &prepared) < 0.0 {
                        continue;
                    }
                    let direction = chart.direction(point, &prepared).map(|direction| rig_from_view * direction);
                    let sample = direction.and_then(|direction| wanted.sample(direction, distance_m));
                    if let Some(sample) = sample.filter(|sample| sample.edge_deg >= 0.0) {
                        coordinates[y as usize * size.x as usize + x as usize] = (sample.pixel / picture).as_vec2().to_array();
                    }
                }
            }
        }
        Ok(Self { size, coordinates })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stitch::tests::gear360;

    #[test]
    fn a_map_of_a_lens_says_where_the_lens_sees() {
        let rig = gear360();
        let prepared = PreparedRig::new(&rig).expect("valid");
        let map = StMap::of_lens(&rig, 0, &StitchSettings::equirectangular(64, 32)).expect("valid");
        let ahead = prepared.lenses[0].sample(bevy::math::DVec3::Z, None);
        let center = ahead.expect("seen").pixel / prepared.pictures[0].as_dvec2();
        // The four pixels around the middle of the picture lie around the lens's axis.
        let around: Vec<_> = [(31, 15), (32, 15), (31, 16), (32, 16)].map(|(x, y)| map.coordinates[y * 64 + x]).to_vec();
        let mean = around.iter().fold(DVec2::ZERO, |sum, pair| sum + DVec2::new(pair[0].into(), pair[1].into())) / 4.0;
        assert!(mean.distance(center) < 2e-3, "{mean} around {center}");
        assert_eq!(map.coordinates[16 * 64], [-1.0; 2], "straight behind it sees nothing");
        let refused = StMap::of_lens(&rig, 7, &StitchSettings::equirectangular(64, 32)).expect_err("refused").to_string();
        assert!(refused.contains("2 lenses"), "{refused}");
    }
}
