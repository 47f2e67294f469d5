//! Prims of which only values were edited.

use super::{StageHost, live::Live};
use crate::{
    extract::{PrimValues, values_of},
    open::{UsdError, prim_path},
};

impl StageHost {
    /// What prims say of themselves as they are composed now, without taking the rest of the stage apart; `None` for what is no prim.
    ///
    /// # Errors
    /// [`UsdError::Edit`] if a path is none.
    pub fn values(&self, prims: Vec<String>) -> Result<Vec<Option<PrimValues>>, UsdError> {
        self.request(move |live| prims.iter().map(|prim| live.values(prim)).collect())
    }
}

impl Live {
    fn values(&self, prim: &str) -> Result<Option<PrimValues>, UsdError> {
        Ok(values_of(&self.stage, &prim_path(prim)?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EditLayer, Number, StageEdit, StageHost, StageValue};
    use crate::{
        open::{OpenOptions, tests::memory},
        snapshot::PrimData,
    };

    const ROOT: &str = "#usda 1.0\nclass SphereLight \"_L\"\n{\n float inputs:intensity = 1\n}\n\
        def SphereLight \"Heir\" (inherits = </_L>)\n{\n}\n\
        def SphereLight \"Lamp\"\n{\n float inputs:intensity = 1\n}\n\
        def Camera \"Cam\"\n{\n}\n\
        def \"Prop\" (references = @prop.usda@</Lamp>)\n{\n}\n";
    const PROP: &str = "#usda 1.0\ndef SphereLight \"Lamp\"\n{\n float inputs:intensity = 1\n}\n";

    fn set(path: &str, value: f64) -> StageEdit {
        StageEdit::SetAttribute {
            path: path.into(),
            type_name: "float".into(),
            value: StageValue::Float(Number(value)),
            time: None,
        }
    }

    fn host() -> StageHost {
        let source = memory(&[("root.usda", ROOT), ("prop.usda", PROP)]);
        StageHost::open(source, "root.usda", &OpenOptions::default()).unwrap()
    }

    #[test]
    fn values_of_lights_cameras_and_visibility_are_edited_in_place() {
        let host = host();
        let prop = EditLayer::Layer("prop.usda".into());
        let invisible = StageEdit::SetAttribute {
            path: "/Heir.visibility".into(),
            type_name: "token".into(),
            value: StageValue::Token("invisible".into()),
            time: None,
        };
        for (layer, edit, revalued) in [
            (EditLayer::Root, set("/Lamp.inputs:intensity", 2.0), "/Lamp"),
            // For the session there is no prim yet: an `over` is made.
            (EditLayer::Session, set("/Lamp.inputs:intensity", 3.0), "/Lamp"),
            (EditLayer::Session, set("/Lamp.inputs:exposure", 1.0), "/Lamp"),
            (EditLayer::Root, set("/Cam.focalLength", 85.0), "/Cam"),
            (EditLayer::Session, invisible, "/Heir"),
        ] {
            let change = host.edit(&layer, vec![edit.clone()]).unwrap();
            assert!(change.is_in_place && change.revalued == [revalued] && change.moved.is_empty(), "{edit:?}: {change:?}");
        }
        let change = host.undo().unwrap().unwrap();
        assert!(change.is_in_place && change.revalued == ["/Heir"], "{change:?}");
        let values = host.values(vec!["/Lamp".into(), "/Cam".into(), "/Heir".into(), "/None".into()]).unwrap();
        let [Some(lamp), Some(camera), Some(heir), None] = values.as_slice() else { panic!("{values:?}") };
        let Some(PrimData::Light(light)) = &lamp.data else { panic!("{lamp:?}") };
        assert_eq!((light.intensity.at(0.0), light.exposure.at(0.0)), (Some(3.0), Some(1.0)));
        let Some(PrimData::Camera(camera)) = &camera.data else { panic!("{camera:?}") };
        assert_eq!((camera.focal_length.at(0.0), heir.visible.at(0.0)), (Some(85.0), Some(true)));
        // What others inherit or refer to, what is read from files or from other prims, takes more than a look at one prim.
        let texture = StageEdit::SetAttribute {
            path: "/Lamp.inputs:texture:file".into(),
            type_name: "asset".into(),
            value: StageValue::AssetPath("a.png".into()),
            time: None,
        };
        let targets = Some(vec!["/Cam.focalLength".to_owned()]);
        let connected = StageEdit::SetConnections { path: "/Lamp.inputs:color".into(), type_name: "color3f".into(), targets };
        let moved = StageEdit::SetAttribute {
            path: "/Lamp.xformOp:translate".into(),
            type_name: "double3".into(),
            value: StageValue::Vec3d([Number(1.0); 3]),
            time: None,
        };
        for (layer, edit) in [
            (EditLayer::Root, set("/_L.inputs:intensity", 5.0)),
            (prop.clone(), set("/Lamp.inputs:intensity", 5.0)),
            (prop, moved),
            (EditLayer::Root, texture),
            (EditLayer::Root, connected),
            (EditLayer::Root, set("/Lamp.focalLength:more", 5.0)),
            (EditLayer::Root, StageEdit::SetActive { path: "/Lamp".into(), is_active: false }),
        ] {
            let change = host.edit(&layer, vec![edit.clone()]).unwrap();
            assert!(!change.is_in_place, "{edit:?}: {change:?}");
        }
    }
}
