//! What a viewer can be told, whether by a key, a gamepad or a headset's controller.

use crate::{
    input::{StreamInput, StreamInputStats},
    sphere::SphereView,
};
use bevy::prelude::*;
use studio_graph::prelude::*;
use studio_media::nodes::AudioOutput;
use studio_stream::subscribe::StreamQuality;
use studio_vision::nodes::{FrameSynthesis, SynthesisMode};

/// Tells the viewer something.
#[derive(Message, Clone, Copy, Debug, PartialEq)]
pub enum ViewerCommand {
    /// The picture stands still and the sound is off, or both go on: live, with what is new then.
    TogglePause,
    /// Sound on or off.
    ToggleMute,
    /// So many steps louder, or softer where negative.
    Volume(f32),
    /// Frame generation on, side by side with the pictures as they came, off.
    NextGeneration,
    /// The rendition by itself, then each there is, from the best on.
    NextQuality,
}

/// The pictures stand still, and the sound is off because of that.
#[derive(Component, Clone, Copy, Debug)]
pub(crate) struct Paused {
    muted_before: bool,
}

/// One step of the volume.
const VOLUME_STEP_DB: f32 = 3.0;
/// The range of the volume.
const VOLUME_RANGE_DB: core::ops::RangeInclusive<f32> = -60.0..=12.0;

/// What comes after a choice, where there are renditions of these names, the best first.
fn next_quality(present: &StreamQuality, names: &[String]) -> StreamQuality {
    let at = match present {
        StreamQuality::Auto => None,
        StreamQuality::High => Some(0),
        StreamQuality::Low => names.len().checked_sub(1),
        StreamQuality::Named(name) => names.iter().position(|known| known == name),
    };
    let next = if *present == StreamQuality::Auto { names.first() } else { at.and_then(|at| names.get(at + 1)) };
    next.filter(|_| names.len() > 1).cloned().map_or(StreamQuality::Auto, StreamQuality::Named)
}

/// Does as it was told.
pub(crate) fn obey(
    mut told: MessageReader<ViewerCommand>,
    mut synthesis: Query<(Entity, &mut FrameSynthesis, Has<Freeze>)>,
    mut views: Query<&mut SphereView>,
    mut outputs: Query<(Entity, &mut AudioOutput, Option<&Paused>)>,
    mut inputs: Query<(&mut StreamInput, &StreamInputStats)>,
    mut commands: Commands,
) {
    let mut pause = None;
    for command in told.read() {
        match command {
            ViewerCommand::TogglePause => {
                let paused = pause.unwrap_or_else(|| synthesis.iter().any(|(_, _, frozen)| frozen));
                pause = Some(!paused);
            }
            ViewerCommand::ToggleMute => {
                for (_, mut output, _) in &mut outputs {
                    output.mute = !output.mute;
                }
            }
            ViewerCommand::Volume(steps) => {
                for (_, mut output, _) in &mut outputs {
                    let (softest, loudest) = (*VOLUME_RANGE_DB.start(), *VOLUME_RANGE_DB.end());
                    output.gain_db = (output.gain_db + steps * VOLUME_STEP_DB).clamp(softest, loudest);
                    output.mute = false;
                }
            }
            ViewerCommand::NextQuality => {
                for (mut input, stats) in &mut inputs {
                    input.quality = next_quality(&input.quality, &stats.renditions);
                }
            }
            ViewerCommand::NextGeneration => {
                for (_, mut node, _) in &mut synthesis {
                    node.mode = match node.mode {
                        SynthesisMode::Off => SynthesisMode::On,
                        SynthesisMode::On => SynthesisMode::SideBySide,
                        SynthesisMode::SideBySide => SynthesisMode::Off,
                    };
                    for mut view in &mut views {
                        view.split = if node.mode == SynthesisMode::SideBySide { 0.5 } else { 0.0 };
                    }
                }
            }
        }
    }
    match pause {
        Some(true) => {
            for (node, ..) in &synthesis {
                commands.entity(node).insert(Freeze);
            }
            for (output, mut settings, paused) in &mut outputs {
                if paused.is_none() {
                    commands.entity(output).insert(Paused { muted_before: settings.mute });
                    settings.mute = true;
                }
            }
        }
        Some(false) => {
            for (node, ..) in &synthesis {
                commands.entity(node).remove::<Freeze>();
            }
            for (output, mut settings, paused) in &mut outputs {
                if let Some(paused) = paused {
                    settings.mute = paused.muted_before;
                    commands.entity(output).remove::<Paused>();
                }
            }
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::ecs::system::RunSystemOnce;

    fn tell(world: &mut World, command: ViewerCommand) {
        world.init_resource::<Messages<ViewerCommand>>();
        world.resource_mut::<Messages<ViewerCommand>>().clear();
        world.write_message(command);
        world.run_system_once(obey).unwrap();
    }

    #[test]
    fn the_volume_has_its_range_and_who_turns_it_wants_to_hear() {
        let mut world = World::new();
        let output = world.spawn(AudioOutput::default()).id();
        let mut told = |command| {
            tell(&mut world, command);
            let output = world.get::<AudioOutput>(output).unwrap();
            (output.gain_db, output.mute)
        };
        assert_eq!(told(ViewerCommand::Volume(1.0)), (3.0, false));
        assert_eq!(told(ViewerCommand::ToggleMute), (3.0, true));
        assert_eq!(told(ViewerCommand::Volume(-1.0)), (0.0, false));
        assert_eq!(told(ViewerCommand::Volume(-30.0)), (-60.0, false));
    }

    #[test]
    fn a_pause_stops_the_pictures_and_gives_the_sound_back_as_it_was() {
        let mut world = World::new();
        let output = world.spawn(AudioOutput::default()).id();
        let muted = world.spawn(AudioOutput { mute: true, ..default() }).id();
        let synthesis = world.spawn(FrameSynthesis::default()).id();
        tell(&mut world, ViewerCommand::TogglePause);
        assert!(world.get::<Freeze>(synthesis).is_some() && world.get::<AudioOutput>(output).unwrap().mute);
        tell(&mut world, ViewerCommand::TogglePause);
        assert!(world.get::<Freeze>(synthesis).is_none() && !world.get::<AudioOutput>(output).unwrap().mute);
        assert!(world.get::<AudioOutput>(muted).unwrap().mute);
    }

    #[test]
    fn generation_goes_round() {
        let mut world = World::new();
        let synthesis = world.spawn(FrameSynthesis::default()).id();
        let view = world.spawn(SphereView::default()).id();
        let mut modes = Vec::new();
        for _ in 0..3 {
            tell(&mut world, ViewerCommand::NextGeneration);
            modes.push((world.get::<FrameSynthesis>(synthesis).unwrap().mode, world.get::<SphereView>(view).unwrap().split));
        }
        assert_eq!(modes, [(SynthesisMode::SideBySide, 0.5), (SynthesisMode::Off, 0.0), (SynthesisMode::On, 0.0)]);
    }

    #[test]
    fn quality_goes_round_what_there_is() {
        let mut world = World::new();
        let stats = StreamInputStats { renditions: vec!["1280x640".into(), "640x320".into()], ..default() };
        let input = world.spawn((StreamInput::default(), stats)).id();
        let mut next = || {
            tell(&mut world, ViewerCommand::NextQuality);
            world.get::<StreamInput>(input).unwrap().quality.clone()
        };
        let named = |name: &str| StreamQuality::Named(name.into());
        assert_eq!(
            [next(), next(), next(), next()],
            [named("1280x640"), named("640x320"), StreamQuality::Auto, named("1280x640")]
        );
        assert_eq!(next_quality(&StreamQuality::Low, &["a".into(), "b".into()]), StreamQuality::Auto);
        assert_eq!(next_quality(&StreamQuality::Auto, &["a".into()]), StreamQuality::Auto, "there is no choice");
    }
}
