// Where hits are divided by patterns: places among the candidates, which nobody needs once a scan is over.
//
//   | count, place of the next hit | for each pattern
//   | first hit, end              | for each group
//   | matches, whether it is open | for each group
//   | hit                         | in the order of groups; then matches, at the front of each group
//   | hit                         | once more, to sort with
//
// A group is of whole patterns. It begins with the first pattern of which the hits begin within so many hits, of which there
// are as many groups as it takes: some are empty, and one may be large, if a pattern is.

struct Found {
    uint pattern_id;
    uint start;
    uint end;
    // As in the hit buffer.
    uint suffix;
};

uint group_hits(uint count) {
    return max(SELECT_LANES / 2u, (count + MOST_GROUPS - 1u) / MOST_GROUPS);
}

uint group_count(uint count) {
    return (count + group_hits(count) - 1u) / group_hits(count);
}

uint groups_at() {
    return tables.header.pattern_count;
}

uint results_at(uint count) {
    return groups_at() + group_count(count);
}

uint records_at(uint count) {
    return results_at(count) + group_count(count);
}

uint spare_at(uint count) {
    return records_at(count) + 2u * count;
}

Found hit(uint index) {
    return Found(hits.words[index * 3u], hits.words[index * 3u + 1u], hits.words[index * 3u + 2u],
                 hits.words[params.hit_capacity * 3u + index]);
}

Found record(uint at, uint index) {
    Candidate first = candidates.suffixes_then_starts[at + 2u * index];
    Candidate second = candidates.suffixes_then_starts[at + 2u * index + 1u];
    return Found(first.of, first.at, second.of, second.at);
}

void set_record(uint at, uint index, Found found) {
    candidates.suffixes_then_starts[at + 2u * index] = Candidate(found.pattern_id, found.start);
    candidates.suffixes_then_starts[at + 2u * index + 1u] = Candidate(found.end, found.suffix);
}
