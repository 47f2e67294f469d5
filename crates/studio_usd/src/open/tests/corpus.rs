use super::*;
use serde_json::Value;
use std::collections::BTreeMap;

fn expected() -> Option<(PathBuf, BTreeMap<String, Value>)> {
    let folder = corpus()?;
    let text = std::fs::read_to_string(folder.join("EXPECTED.json")).unwrap();
    let Value::Object(mut all) = serde_json::from_str(&text).unwrap() else { panic!("EXPECTED.json is no object") };
    let Some(Value::Object(assets)) = all.remove("assets") else { panic!("EXPECTED.json has no assets") };
    Some((folder.join("usd-wg-assets"), assets.into_iter().collect()))
}

/// What usd-core says of each file of the corpus: whether it opens, its layers, its composition errors.
#[test]
fn the_corpus_opens_and_is_refused_as_by_usd_core() {
    let Some((root, expected)) = expected() else { return };
    let mut failures = Vec::new();
    for (name, says) in &expected {
        let source = Arc::new(FolderSource::new(&root).unwrap());
        let opened = open_stage(source, name, &OpenOptions::default());
        let must_fail = says["error"].as_str().is_some_and(|error| error.contains("Parser"));
        match opened {
            Err(error) if must_fail => {
                if error.line().is_none() || error.layer() != name {
                    failures.push(format!("{name}: refused without layer and line: {error}"));
                }
            }
            Err(error) => failures.push(format!("{name}: refused: {error}")),
            Ok(_) if must_fail => failures.push(format!("{name}: opened, and usd-core refuses it")),
            Ok(opened) => {
                let errors: Vec<_> = opened
                    .report
                    .issues
                    .iter()
                    .filter(|issue| issue.severity == IssueSeverity::Error)
                    .map(ToString::to_string)
                    .collect();
                let wanted = says["compositionErrors"].as_array().map_or(0, Vec::len);
                if (wanted > 0) == errors.is_empty() {
                    failures.push(format!("{name}: usd-core has {wanted} composition errors, here are {errors:?}"));
                }
                // usd-core counts its session layer.
                if let Some(layers) = says["layers"].as_u64().filter(|layers| layers - 1 != opened.report.layers.len() as u64) {
                    failures
                        .push(format!("{name}: usd-core has {layers} layers with its own, here are {:?}", opened.report.layers));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), expected.len(), failures.join("\n"));
}

#[test]
fn frame_rates_of_nothing_are_refused_on_their_line() {
    let Some((root, _)) = expected() else { return };
    for rate in ["0", "-1"] {
        let name = format!("test_assets/foundation/stage_configuration/framesPerSecond/framesPerSecond_{rate}.usda");
        let text = std::fs::read_to_string(root.join(&name)).unwrap();
        let line = 1 + text.lines().position(|line| line.contains("framesPerSecond")).unwrap() as u32;
        let error =
            open_stage(Arc::new(FolderSource::new(&root).unwrap()), &name, &OpenOptions::default()).map(drop).unwrap_err();
        assert_eq!(error.line(), Some(line), "{error}");
    }
}
