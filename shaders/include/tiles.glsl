// Many hits that are sorted, which workgroups take tile by tile.

uint count = control.many;

Found sorted(uint index) {
    return record(index);
}

void set_suffix(uint index, uint word) {
    selection.words[params.hit_capacity * 3u + index] = word;
}

// Whether a hit is of the same pattern and kind, and before a position.
bool is_before(uint index, Found found, uint at) {
    Found other = record(index);
    return is_alike(other, found) && position(other) < at;
}

bool is_known_mixed(uint index, Found found) {
    return selection.words[link_at(index)] == SELECT_MIXED;
}

// As in Tile.
uint entry_of(uint tile) {
    return selection.words[tile_at(tile)];
}

uint entered_from(uint tile) {
    return selection.words[tile_at(tile) + 1u];
}

uint left_from(uint tile) {
    return selection.words[tile_at(tile) + 2u];
}

uint left_to(uint tile) {
    return selection.words[tile_at(tile) + 3u];
}

uint matches_of(uint tile) {
    return selection.words[tile_at(tile) + 4u];
}

// Hits of a tile.
uint tile_size(uint tile) {
    return min(SELECT_TILE, count - tile * SELECT_TILE);
}
