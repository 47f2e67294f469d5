//! The corpus of the USD working group.

use super::*;
use bevy::platform::collections::HashSet;
use studio_scene::stage::*;

/// Every prim that the stage lists, and those of instances once for each.
fn expected_entities(stage: &UsdStage) -> usize {
    fn below(stage: &UsdStage, prototype: usize) -> usize {
        let prims = &stage.snapshot().prototypes[prototype].prims;
        // The root of a prototype is the instance itself.
        prims.len() - 1 + prims.iter().skip(1).filter_map(|prim| prim.prototype).map(|nested| below(stage, nested)).sum::<usize>()
    }
    let snapshot = stage.snapshot();
    snapshot.prims.len()
        + snapshot.prims.iter().filter_map(|prim| prim.prototype).map(|prototype| below(stage, prototype)).sum::<usize>()
}

#[test]
fn every_prim_of_the_corpus_is_an_entity() {
    let Some(corpus) = corpus() else { return };
    let mut app = app(&corpus);
    for path in [
        "full_assets/Teapot/Teapot.usd",
        "full_assets/OpenChessSet/assets/Pawn/Pawn.usd",
        "test_assets/TextureCoordinateTest/TextureCoordinateTest.usda",
        "docs/PrimvarInterpolation/primvar_interpolation.usda",
        "test_assets/AlphaBlendSortTest/AlphaBlendSortTest.usda",
        "test_assets/RoughnessTest/RoughnessTest.usdz",
        "test_assets/USDZ/CesiumMan/CesiumMan.usdz",
        "intent-vfx/simpleAssetScene/simpleAssetScene.usda",
    ] {
        if !corpus.join(path).exists() {
            println!("skipped: {path} absent");
            continue;
        }
        let root = show(&mut app, path);
        let entities = app.world().get::<UsdStageEntities>(root).expect("shown").prims().count();
        let mut query = app.world_mut().query::<&UsdPrim>();
        let paths: HashSet<String> = query.iter(app.world()).map(|prim| prim.path.to_string()).collect();
        assert_eq!(paths.len(), entities, "{path}");
        assert_eq!(entities, expected_entities(stage(&app, root)), "{path}");
        app.world_mut().despawn(root);
    }
}

#[test]
fn the_teapot_changes_its_shape_with_its_variant() {
    let Some(corpus) = corpus() else { return };
    let mut app = app(&corpus);
    let root = show(&mut app, "full_assets/Teapot/Teapot.usd");
    let mut query = app.world_mut().query::<(&UsdPrim, &UsdVariants)>();
    let (path, sets) =
        query.iter(app.world()).map(|(prim, variants)| (prim.path.to_string(), variants.0.clone())).next().expect("variants");
    let set = sets.iter().find(|set| set.variants.len() > 1).expect("something to choose");
    let other = set.variants.iter().find(|variant| **variant != set.selection).expect("another").clone();
    let before = stage(&app, root).snapshot().clone();
    app.world_mut().write_message(UsdRequest {
        root,
        change: UsdChange::SelectVariant { prim: path.clone(), set: set.name.clone(), variant: other.clone() },
    });
    run_until(&mut app, "the variant", |world| {
        let entity = world.get::<UsdStageEntities>(root).and_then(|entities| entities.entity(&path));
        let variants = entity.and_then(|entity| world.get::<UsdVariants>(entity));
        variants.is_some_and(|variants| variants.0.iter().any(|now| now.name == set.name && now.selection == other))
    });
    assert_ne!(before.prims, stage(&app, root).snapshot().prims);
}
