//! What layers are called, and which names lead nowhere.
//!
//! An identifier is a path with `/` between its parts, from the root of the source, without `.`, `..`, a leading `/`, a drive or a scheme.
//! What is in a package is `package.usdz[inside/layer.usda]`, nested as often as need be.

/// The identifier of the session layer. No source is ever asked for it.
pub(crate) const SESSION_LAYER: &str = "anon:session.usda";

/// The identifier of what `written` means in the layer `anchored_to`, or at the root of the source if that is empty. `None` if it leads out
/// of the source or the package that it is written in.
pub fn anchor(written: &str, anchored_to: &str) -> Option<String> {
    if written.is_empty() {
        return None;
    }
    if let Some((package, inside)) = package_of(written) {
        let package = anchor(package, anchored_to)?;
        return Some(nest(&package, &anchor(inside, "")?));
    }
    if let Some((package, inside)) = innermost(anchored_to) {
        // Written inside of a package: it stays there.
        return Some(replace_innermost(anchored_to, package, &join(folder_of(inside), written)?));
    }
    if is_package(anchored_to) {
        return Some(format!("{anchored_to}[{}]", join("", written)?));
    }
    join(folder_of(anchored_to), written)
}

/// Whether a path of prims or properties can be followed from a prim so many levels deep. `openusd` 0.6 climbs without an end where `..` leads
/// above the root.
pub(crate) fn is_sound(path: &str, depth: usize) -> bool {
    let mut rest = path;
    let mut up = 0;
    while let Some(behind) = rest.strip_prefix("..") {
        up += 1;
        rest = match behind.strip_prefix('/') {
            Some(behind) => behind,
            None if behind.is_empty() || behind.starts_with('.') => behind,
            None => return false,
        };
        if behind.starts_with('.') {
            break;
        }
    }
    let is_known = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.' | ':' | '{' | '}' | '=' | '[' | ']' | '-' | '|');
    let is_odd = rest.contains("..") || rest.contains("//") || rest.contains("/.") || rest.len() > 1 && rest.ends_with('/');
    up <= depth && !is_odd && rest.chars().all(is_known) && is_balanced(rest)
}

/// Whether every brace and bracket of a path is closed, in its order: `openusd` 0.6 takes what ends in a brace that was never opened for its
/// own parent, and climbs from it without an end.
pub(crate) fn is_balanced(path: &str) -> bool {
    let (mut is_in_variant, mut targets) = (false, 0_usize);
    for c in path.chars() {
        match c {
            '{' if !is_in_variant => is_in_variant = true,
            '}' if is_in_variant => is_in_variant = false,
            '[' if !is_in_variant => targets += 1,
            ']' if !is_in_variant && targets > 0 => targets -= 1,
            '{' | '}' | '[' | ']' => return false,
            _ => {}
        }
    }
    !is_in_variant && targets == 0
}

/// Whether a name is one part of a path and no more.
pub(crate) fn is_one_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '.', '{', '}', '[', ']']) && !name.chars().any(char::is_control)
}

/// Whether a default prim is a name or a path of names; one that is not is followed as if it were.
pub(crate) fn is_default_prim(name: &str) -> bool {
    name.is_empty() || name.strip_prefix('/').unwrap_or(name).split('/').all(is_one_name)
}

/// Fields that name the specs below one. A layer keeps them by itself; no file or edit may say otherwise.
pub(crate) fn is_list_of_specs(field: &str) -> bool {
    matches!(field, "primChildren" | "properties" | "propertyChildren" | "variantChildren" | "variantSetChildren")
}

/// Splits `package.usdz[inside]` at its outermost package.
pub fn package_of(identifier: &str) -> Option<(&str, &str)> {
    let inside = identifier.strip_suffix(']')?;
    inside.split_once('[')
}

/// Whether it is a package as a whole.
pub(crate) fn is_package(identifier: &str) -> bool {
    extension(identifier).eq_ignore_ascii_case("usdz")
}

/// The part after the last dot of the innermost name; empty for none.
pub(crate) fn extension(identifier: &str) -> &str {
    let name = innermost(identifier).map_or(identifier, |(_, inside)| inside);
    let name = name.rsplit('/').next().unwrap_or(name);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Puts what is in a package into the deepest package of an identifier.
pub(crate) fn nest(package: &str, inside: &str) -> String {
    match package_of(package) {
        Some((outer, inner)) => format!("{outer}[{}]", nest(inner, inside)),
        None => format!("{package}[{inside}]"),
    }
}

/// How many packages an identifier is inside of.
pub(crate) fn package_depth(identifier: &str) -> usize {
    identifier.bytes().rev().take_while(|byte| *byte == b']').count()
}

/// The part in front of the innermost `[`, and what is inside of it.
fn innermost(identifier: &str) -> Option<(&str, &str)> {
    let trimmed = identifier.trim_end_matches(']');
    (trimmed.len() < identifier.len()).then(|| trimmed.rsplit_once('['))?
}

fn replace_innermost(identifier: &str, package: &str, inside: &str) -> String {
    format!("{package}[{inside}{}", "]".repeat(package_depth(identifier)))
}

fn folder_of(identifier: &str) -> &str {
    identifier.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `written` from `folder`, both inside of the same root.
pub(crate) fn join(folder: &str, written: &str) -> Option<String> {
    let bytes = written.as_bytes();
    let is_absolute = matches!(bytes.first(), Some(b'/' | b'\\')) || written.contains(':') || written.contains('\0');
    if is_absolute || written.contains(['[', ']']) {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in written.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_what_is_beside_the_layer_it_is_written_in() {
        assert_eq!(anchor("b.usda", "dir/a.usda").as_deref(), Some("dir/b.usda"));
        assert_eq!(anchor("./x/../b.usda", "dir/a.usda").as_deref(), Some("dir/b.usda"));
        assert_eq!(anchor("../b.usda", "dir/sub/a.usda").as_deref(), Some("dir/b.usda"));
        assert_eq!(anchor(r"tex\b.png", "dir/a.usda").as_deref(), Some("dir/tex/b.png"));
    }

    #[test]
    fn a_path_inside_of_a_package_stays_there() {
        assert_eq!(anchor("t/b.png", "p.usdz").as_deref(), Some("p.usdz[t/b.png]"));
        assert_eq!(anchor("../b.png", "d/p.usdz[geo/a.usda]").as_deref(), Some("d/p.usdz[b.png]"));
        assert_eq!(anchor("b.usda", "p.usdz[q.usdz[a/c.usda]]").as_deref(), Some("p.usdz[q.usdz[a/b.usda]]"));
        assert_eq!(anchor("q.usdz[c.usda]", "d/a.usda").as_deref(), Some("d/q.usdz[c.usda]"));
        assert_eq!(anchor("../../b.png", "d/p.usdz[geo/a.usda]"), None);
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        for written in
            ["/etc/passwd", "../x.usda", "a/../../x.usda", r"C:\x.usda", "file:///x", "http://h/x.usda", r"\\h\x", "a\0b", ""]
        {
            assert_eq!(anchor(written, "a.usda"), None, "{written}");
        }
    }

    #[test]
    fn paths_that_climb_above_the_root_are_not_followed() {
        for path in
            ["", "/", "/A/B.c:d", "../B", "../../B.x", "..", "A", ".x", "../.x", "/A{v=x}B", "/A{v=.x}B", "/A.rel[/B].attr"]
        {
            assert!(is_sound(path, 2), "{path}");
        }
        for path in [
            "../../../B",
            "/A/../B",
            "/..",
            "//A",
            "/A/",
            "/A/./B",
            "A..B",
            "/A B",
            "../../../..",
            "..A",
            "/A}",
            "/A}B",
            "}",
            "/A[}",
            "/A{v=x}}",
            "/A{v={x}}",
            "/A.r[/B",
        ] {
            assert!(!is_sound(path, 2), "{path}");
        }
    }

    proptest::proptest! {
        /// What `openusd` does with every path that it is asked for: from each parent to the next.
        #[test]
        fn from_sound_paths_one_comes_to_the_root(path in "(\\.\\./){0,2}[/.{}=:\\[\\]AB]{0,12}") {
            if is_sound(&path, 2) {
                let mut at = openusd::sdf::Path::from(path.as_str());
                for _ in 0..64 {
                    proptest::prop_assert!(at.prim_path().as_str().len() <= at.as_str().len());
                    match at.prim_path().parent() {
                        Some(parent) => at = parent,
                        None => return Ok(()),
                    }
                }
                proptest::prop_assert!(false, "{path}");
            }
        }
    }

    #[test]
    fn the_extension_is_the_innermost_file_s() {
        assert_eq!(extension("a.usdz[b.usdz[c.USDA]]"), "USDA");
        assert_eq!(extension("dir.d/file"), "");
        assert_eq!(package_depth("a.usdz[b.usdz[c.USDA]]"), 2);
    }
}
