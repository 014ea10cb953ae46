//! Hints "did you mean …?" for names that a user has mistyped.

/// For names longer than this there are no hints.
const NAME_LIMIT: usize = 64;

/// The hint for `name`, if one of the candidates is close to it.
pub fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(name, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// The most candidates that are searched for a hint.
const CANDIDATE_LIMIT: usize = 1000;

/// The candidate closest to `name`, if one is close enough.
pub(crate) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.is_empty() || name.len() > NAME_LIMIT {
        return None;
    }
    let folded = fold(name);
    let tolerance = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .take(CANDIDATE_LIMIT)
        .filter(|candidate| {
            candidate.len().abs_diff(name.len()) <= tolerance && candidate.len() <= NAME_LIMIT
        })
        .map(|candidate| (strsim::damerau_levenshtein(&folded, &fold(candidate)), candidate))
        .filter(|&(distance, candidate)| distance <= tolerance && distance < candidate.len())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// Removes the most likely mistakes, so that they do not count: case, and `_` for `-`.
fn fold(name: &str) -> String {
    name.to_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_suggested_and_a_distant_one_is_not() {
        let names = ["bind", "destination", "root"];
        assert_eq!(closest("destinatoin", names), Some("destination"));
        assert_eq!(closest("Bind", names), Some("bind"));
        assert_eq!(closest("port", names), None);
        assert_eq!(closest("", names), None);
    }

    #[test]
    fn underscores_count_as_hyphens() {
        assert_eq!(closest("default_handler", ["default-handler"]), Some("default-handler"));
    }

    #[test]
    fn one_letter_names_are_not_suggested_for_each_other() {
        assert_eq!(closest("a", ["b"]), None);
    }
}
