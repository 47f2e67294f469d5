//! Lights: `UsdLux` to Bevy's lights, in photometric units.
//!
//! | `UsdLux` | Bevy | What differs |
//! |---|---|---|
//! | `SphereLight` | [`PointLight`] | nothing, from its surface on outwards |
//! | `SphereLight`, shaped | [`SpotLight`] | how the edge of the cone falls off |
//! | `RectLight` | [`RectLight`] | no shadows (see [`AreaLights`]); at most 8 in Bevy |
//! | `DiskLight` | [`RectLight`], a square of the same area | its shape in highlights; as above |
//! | `RectLight`, `DiskLight`, shaped | [`SpotLight`] | a point in place of an area |
//! | `CylinderLight` | [`PointLight`] of the same flux | it shines to all sides alike: 21 % less broadside |
//! | `DistantLight` | [`DirectionalLight`] | the sun's disk is a point in highlights |
//! | `DomeLight` | [`DomeLight`] | see [`dome`](super::dome) |
//!
//! Everything else is left out with a note. The numbers are made in [`photometry`].

use super::{DomeLight, DomeMaps, finite_or, photometry};
use bevy::{
    light::{CascadeShadowConfig, CascadeShadowConfigBuilder, RectLight},
    prelude::*,
};
use std::f32::consts::{FRAC_1_SQRT_2, FRAC_PI_2};
use studio_usd::snapshot::{self, LightKind, UpAxis};

/// What rectangles and disks become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum AreaLights {
    /// Bevy's [`RectLight`]: right in brightness and shape, without shadows. Bevy draws the first eight of them.
    #[default]
    Area,
    /// A [`SpotLight`]: right in brightness along the light's axis, with shadows.
    Spot,
}

/// How a light is made.
#[derive(Clone, Debug)]
pub struct LightOptions {
    /// Time code.
    pub time: f64,
    /// The length of a stage unit in metres.
    pub meters_per_unit: f64,
    /// The stage's axis that points up, for dome lights whose pole follows it.
    pub up_axis: UpAxis,
    /// Whether lights cast shadows, if they say so themselves.
    pub shadows: bool,
    /// What rectangles and disks become.
    pub area_lights: AreaLights,
    /// A light ends where it gives less than this, in lux; it is faded out smoothly before.
    pub least_illuminance_lx: f32,
    /// How far from a camera a distant light's shadows are drawn, metres.
    pub shadow_distance_m: f32,
}

impl Default for LightOptions {
    fn default() -> Self {
        Self {
            time: 0.0,
            meters_per_unit: 1.0,
            up_axis: UpAxis::Y,
            shadows: true,
            area_lights: AreaLights::default(),
            least_illuminance_lx: 1e-3,
            shadow_distance_m: 150.0,
        }
    }
}

/// A light prim. Change it, or its time, and the entity's Bevy light follows; so it does when the prim's scale changes.
#[derive(Component, Clone, Debug)]
pub struct UsdLight {
    /// As the stage has it.
    pub light: snapshot::Light,
    /// How it is made; its time is the time code that values are taken at.
    pub options: LightOptions,
}

/// A light of Bevy's.
#[derive(Clone, Debug)]
pub enum MadeLight {
    /// A ball, or what is taken for one.
    Point(PointLight),
    /// A light within a cone.
    Spot(SpotLight),
    /// A distant light.
    Directional(DirectionalLight),
    /// A rectangle, or what is taken for one.
    Rect(RectLight),
    /// A sky.
    Dome(DomeLight),
    /// Nothing: a kind that is not known.
    None,
}

impl UsdLight {
    /// Whether any of its values changes over time.
    pub fn is_animated(&self) -> bool {
        light_is_animated(&self.light)
    }

    /// Takes the values of another time; nothing is marked as changed where nothing moves.
    pub fn set_time(light: &mut Mut<Self>, time: f64) {
        if light.options.time != time && light.is_animated() {
            light.options.time = time;
        }
    }
}

/// Whether any value of a light changes over time.
pub fn light_is_animated(light: &snapshot::Light) -> bool {
    light.intensity.is_animated()
        || light.exposure.is_animated()
        || light.color.is_animated()
        || (light.enable_color_temperature && light.color_temperature_k.is_animated())
}

/// What of a light Bevy cannot show, in words.
pub fn notes(light: &snapshot::Light, options: &LightOptions) -> Vec<String> {
    let mut notes = Vec::new();
    match &light.kind {
        LightKind::Other => notes.push("a light of this kind is not drawn".to_owned()),
        LightKind::Cylinder { .. } => notes.push("the cylinder light is drawn as a point light of the same flux".to_owned()),
        LightKind::Disk { .. } if takes_spot(light, options) => notes.push("the disk light is drawn as a spot light".to_owned()),
        LightKind::Disk { .. } => notes.push("the disk light is drawn as a square of the same area".to_owned()),
        LightKind::Rect { texture, .. } => {
            if takes_spot(light, options) {
                notes.push("the rectangular light is drawn as a spot light".to_owned());
            }
            if !texture.is_empty() {
                notes.push(format!("the picture `{texture}` on the rectangular light is not drawn"));
            }
        }
        LightKind::Sphere { radius, .. } if *radius <= 0.0 && !light.normalize => {
            notes.push("a ball of radius 0 gives no light: it is drawn as if `normalize` were set".to_owned());
        }
        _ => {}
    }
    let is_area = matches!(light.kind, LightKind::Rect { .. } | LightKind::Disk { .. }) && !takes_spot(light, options);
    if is_area && light.casts_shadows && options.shadows {
        notes.push("area lights cast no shadows".to_owned());
    }
    if light.diffuse != light.specular {
        notes.push(format!(
            "diffuse {} and specular {} cannot be told apart: both are {}",
            light.diffuse, light.specular, light.diffuse
        ));
    }
    if let Some(shaping) = &light.shaping {
        if !shaping.ies_file.is_empty() {
            notes.push(format!("the IES profile `{}` is not used", shaping.ies_file));
        }
        let is_cone = shaping.cone_angle_deg < 90.0;
        if shaping.focus > 0.0 {
            notes.push("`shaping:focus` is approximated by the softness of a cone".to_owned());
        } else if !is_cone && shaping.cone_angle_deg < 180.0 && matches!(light.kind, LightKind::Sphere { .. }) {
            notes.push("a cone wider than 90° to each side is not cut".to_owned());
        }
        if matches!(light.kind, LightKind::Cylinder { .. } | LightKind::Distant { .. }) && (is_cone || shaping.focus > 0.0) {
            notes.push("the cone of a light of this kind is not drawn".to_owned());
        }
    }
    notes
}

/// The cone that a light is kept to, as inner and outer angle in radians, if it is kept to less than half of all directions.
///
/// The cone fades from `angle * (1 - softness)` to `angle`. A `focus` f multiplies by `cos^f`; the spot light whose fade is half as bright
/// at the same angle as that stands for it.
fn cone(light: &snapshot::Light) -> Option<(f32, f32)> {
    let shaping = light.shaping.as_ref()?;
    let angle = finite_or(Some(shaping.cone_angle_deg), 90.0).clamp(0.01, 180.0).to_radians();
    let softness = finite_or(Some(shaping.cone_softness), 0.0).clamp(0.0, 1.0);
    let mut limits = (angle < FRAC_PI_2).then_some((angle * (1.0 - softness), angle));
    let focus = finite_or(Some(shaping.focus), 0.0);
    if focus > 0.0 {
        // Bevy fades as ((cos θ - cos outer) / (cos inner - cos outer))².
        let half = 2.0_f32.powf(-focus.recip());
        let outer = ((half - FRAC_1_SQRT_2) / (1.0 - FRAC_1_SQRT_2)).clamp(0.0, 0.9999).acos();
        let (inner, cut) = limits.unwrap_or((0.0, FRAC_PI_2));
        limits = Some((inner.min(0.0), outer.min(cut)));
    }
    limits
}

fn takes_spot(light: &snapshot::Light, options: &LightOptions) -> bool {
    match light.kind {
        LightKind::Sphere { .. } => cone(light).is_some(),
        LightKind::Rect { .. } | LightKind::Disk { .. } => options.area_lights == AreaLights::Spot || cone(light).is_some(),
        _ => false,
    }
}

/// Makes Bevy's light of a light whose local axes have these lengths in metres.
pub fn light(light: &snapshot::Light, options: &LightOptions, axes_m: Vec3) -> MadeLight {
    let time = options.time;
    let axes_m = axes_m.as_dvec3().map(|axis| if axis.is_finite() { axis.abs() } else { 0.0 });
    let multiplier = f64::from(finite_or(Some(light.diffuse), 1.0).max(0.0));
    let rgb = photometry::color(light, time);
    let color = Color::linear_rgb(rgb.x, rgb.y, rgb.z);
    let flux_lm = photometry::flux_lm(light, time, axes_m, options.meters_per_unit) * multiplier;
    let shadow_maps_enabled = options.shadows && light.casts_shadows;
    let mean = (axes_m.x * axes_m.y * axes_m.z).cbrt() as f32;
    let range_of = |candela: f64| {
        let brightest = f64::from(rgb.max_element()).max(1e-6);
        ((candela * brightest / f64::from(options.least_illuminance_lx.max(1e-9))).sqrt() as f32).clamp(0.01, 1e6)
    };
    let point = |radius: f32| {
        let range = range_of(flux_lm / (4.0 * std::f64::consts::PI));
        MadeLight::Point(PointLight { color, intensity: flux_lm as f32, range, radius, shadow_maps_enabled, ..default() })
    };
    // Bevy takes a spot light's intensity along its axis for `intensity / 4π`, as a point light's.
    let spot = |candela: f64, radius: f32| {
        let (inner_angle, outer_angle) = cone(light).unwrap_or((0.0, FRAC_PI_2 - 1e-3));
        MadeLight::Spot(SpotLight {
            color,
            intensity: (candela * 4.0 * std::f64::consts::PI) as f32,
            range: range_of(candela),
            radius,
            shadow_maps_enabled,
            inner_angle: inner_angle.min(outer_angle - 1e-4).max(0.0),
            outer_angle,
            ..default()
        })
    };
    let size = |value: f32| finite_or(Some(value), 0.0).max(0.0);
    let rect = |width: f32, height: f32| {
        // A light of no size still shines, as one of a millimetre.
        let least = |axis_m: f64| (1e-3 / axis_m.max(1e-9)) as f32;
        let (width, height) = (width.max(least(axes_m.x)), height.max(least(axes_m.y)));
        let range = range_of(flux_lm / std::f64::consts::PI);
        MadeLight::Rect(RectLight { color, intensity: flux_lm as f32, range, width, height })
    };
    match &light.kind {
        LightKind::Sphere { radius, treat_as_point } => {
            let radius_m = if *treat_as_point { 0.0 } else { size(*radius) * mean };
            if takes_spot(light, options) { spot(flux_lm / (4.0 * std::f64::consts::PI), radius_m) } else { point(radius_m) }
        }
        LightKind::Cylinder { radius, treat_as_line, .. } => point(if *treat_as_line { 0.0 } else { size(*radius) * mean }),
        LightKind::Disk { .. } | LightKind::Rect { .. } if takes_spot(light, options) => {
            spot(flux_lm / std::f64::consts::PI, 0.0)
        }
        LightKind::Disk { radius } => {
            let side = size(*radius) * std::f32::consts::PI.sqrt();
            rect(side, side)
        }
        LightKind::Rect { width, height, .. } => rect(size(*width), size(*height)),
        LightKind::Distant { angle_deg } => MadeLight::Directional(DirectionalLight {
            color,
            illuminance: (photometry::illuminance_lx(light, time, *angle_deg) * multiplier) as f32,
            shadow_maps_enabled,
            ..default()
        }),
        LightKind::Dome { .. } => dome_light(light, time, options.up_axis).map_or(MadeLight::None, MadeLight::Dome),
        LightKind::Other => MadeLight::None,
    }
}

/// The sky that a dome light is at a time; `None` for other lights.
pub fn dome_light(light: &snapshot::Light, time: f64, up_axis: UpAxis) -> Option<DomeLight> {
    let LightKind::Dome { texture, texture_format, pole_is_stage_up } = &light.kind else { return None };
    let multiplier = f64::from(finite_or(Some(light.diffuse), 1.0).max(0.0));
    Some(DomeLight {
        nits: (photometry::luminance_nits(light, time) * multiplier) as f32,
        color: photometry::color(light, time),
        texture: texture.clone(),
        texture_format: texture_format.clone(),
        pole_is_z: *pole_is_stage_up && up_axis == UpAxis::Z,
    })
}

/// Makes an entity a light: it gets [`UsdLight`] and Bevy's light. What Bevy cannot show comes back in words.
pub fn insert_light(entity: &mut EntityCommands, light: &snapshot::Light, options: &LightOptions) -> Vec<String> {
    remove_light(entity);
    let scale = Vec3::splat(options.meters_per_unit as f32);
    insert_made(entity, self::light(light, options, scale), options);
    // What is not drawn does not count as a light: the stage is lit from the camera then.
    if !matches!(light.kind, LightKind::Other) {
        entity.insert(UsdLight { light: light.clone(), options: options.clone() });
    }
    notes(light, options)
}

/// Undoes [`insert_light`].
pub fn remove_light(entity: &mut EntityCommands) {
    entity.remove::<(UsdLight, PointLight, SpotLight, DirectionalLight, RectLight, DomeLight, DomeMaps)>();
}

fn insert_made(entity: &mut EntityCommands, made: MadeLight, options: &LightOptions) {
    match made {
        MadeLight::Point(light) => entity.insert(light),
        MadeLight::Spot(light) => entity.insert(light),
        MadeLight::Directional(light) => entity.insert((light, cascades(options))),
        MadeLight::Rect(light) => entity.insert(light),
        MadeLight::Dome(light) => entity.insert(light),
        MadeLight::None => entity,
    };
}

fn cascades(options: &LightOptions) -> CascadeShadowConfig {
    let maximum_distance = finite_or(Some(options.shadow_distance_m), 150.0).clamp(1.0, 1e5);
    let first_cascade_far_bound = (maximum_distance * 0.05).max(0.2);
    CascadeShadowConfigBuilder { maximum_distance, first_cascade_far_bound, ..default() }.build()
}

/// Lengths of an entity's axes in metres.
pub(super) fn axes_m(global: &GlobalTransform) -> Vec3 {
    let axes = global.affine().matrix3;
    Vec3::new(axes.x_axis.length(), axes.y_axis.length(), axes.z_axis.length())
}

/// Keeps Bevy's lights as their prims say, at their time and under their scale.
pub(super) fn update_lights(
    mut commands: Commands,
    mut lights: Query<(Entity, Ref<UsdLight>, Ref<GlobalTransform>, Option<&mut ScaledBy>)>,
) {
    for (entity, light, global, scaled_by) in &mut lights {
        let axes = axes_m(&global);
        // A light that only moves stays as it is.
        let is_rescaled =
            scaled_by.as_ref().is_none_or(|scaled| !scaled.0.abs_diff_eq(axes, axes.max_element().max(1e-9) * 1e-4));
        if !light.is_changed() && !is_rescaled {
            continue;
        }
        let mut entity_commands = commands.entity(entity);
        if let Some(mut scaled) = scaled_by {
            scaled.0 = axes;
        } else {
            entity_commands.insert(ScaledBy(axes));
        }
        let made = self::light(&light.light, &light.options, axes);
        insert_made(&mut entity_commands, made, &light.options);
    }
}

/// The lengths of a light's axes that its Bevy light was made for.
#[derive(Component, Clone, Copy, Debug)]
pub(super) struct ScaledBy(Vec3);
