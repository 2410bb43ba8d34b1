#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#extension GL_KHR_shader_subgroup_shuffle : require

// Selects the matches of a scan that is over from few hits, or leaves many to other kernels.
//
// Reads Control, the tables' head and the hits; writes the matches where the hits were, and the readback buffer. One
// workgroup; where items are packed, others besides retire their slots (include/retire.glsl). Where hits leave open which of
// them count, starts are listed to be verified again, and reports changed to what they tell beside these. Hits that are more
// than a tile are left, and grids set for the kernels that sort them. Loops: the turns of a sorting network (K. Batcher,
// "Sorting Networks and Their Applications", 1968), hits by invocations, and those of include/chains.glsl.
// CPU twin: src/twin/select.rs.

#include "bindings.glsl"
#include "hits.glsl"
#include "readback.glsl"
#include "retire.glsl"

layout(local_size_x = 64, local_size_x_id = SPEC_SELECT_LANES) in;

uint count;
// What hits are sorted by, KEY_*: the higher word first. And where each ends.
shared uvec2 keys[SELECT_TILE];
shared uint ends[SELECT_TILE];
shared uint round_matches;

uint key_index(uvec2 key) {
    return key.y & MOST_TILE - 1u;
}

uint key_position(uvec2 key) {
    return (key.x & (1u << KEY_HIGH_POSITION_BITS) - 1u) << KEY_LOW_POSITION_BITS | key.y >> KEY_INDEX_BITS + 1u;
}

// As kind_of.
uint key_kind(uvec2 key) {
    return key.x >> KEY_HIGH_POSITION_BITS;
}

// Of a report, more has to be looked up.
Found sorted(uint place) {
    uvec2 key = keys[place];
    if ((key.y & 1u << KEY_INDEX_BITS) != 0u) {
        return hit(key_index(key));
    }
    return Found(key_kind(key) >> 1, key_position(key), ends[place], NO_SUFFIX);
}

void set_suffix(uint place, uint word) {
    hits.words[params.hit_capacity * 3u + key_index(keys[place])] = word;
}

// Whether a hit is of the same pattern and kind, and before a position.
bool is_before(uint place, Found found, uint at) {
    return key_kind(keys[place]) == kind_of(found) && key_position(keys[place]) < at;
}

bool is_known_mixed(uint place, Found found);

#include "chains.glsl"

bool is_known_mixed(uint place, Found found) {
    return is_mixed(place, found);
}

uvec2 key_of(uint index) {
    Found found = hit(index);
    uint at = position(found);
    uint is_report = report_of(found) == REPORT_NONE ? 0u : 1u << KEY_INDEX_BITS;
    return uvec2(kind_of(found) << KEY_HIGH_POSITION_BITS | at >> KEY_LOW_POSITION_BITS, at << KEY_INDEX_BITS + 1u | is_report | index);
}

// Whether the first key is greater. Where all matches are wanted, of one start the ends decide.
bool is_greater(uvec2 one, uvec2 other) {
    if (MATCH_ALL == 1u && one.x == other.x && one.y >> KEY_INDEX_BITS == other.y >> KEY_INDEX_BITS) {
        uint end = hits.words[key_index(one) * 3u + 2u];
        uint other_end = hits.words[key_index(other) * 3u + 2u];
        return end != other_end ? end > other_end : one.y > other.y;
    }
    return one.x != other.x ? one.x > other.x : one.y > other.y;
}

// Each turn of the network compares what lies apart, at first mirrored, so that no key moves beyond the last.
void sort_keys() {
    for (uint index = lane(); index < count; index += SELECT_LANES) {
        keys[index] = key_of(index);
    }
    barrier();
    for (uint run = 2u; run < 2u * count; run *= 2u) {
        for (uint apart = run / 2u; apart > 0u; apart /= 2u) {
            for (uint pair = lane(); 2u * pair < count + run; pair += SELECT_LANES) {
                uint one = 2u * pair - (pair & apart - 1u);
                uint other = apart == run / 2u ? one ^ run - 1u : one + apart;
                if (other < count) {
                    uvec2 first = keys[one];
                    uvec2 second = keys[other];
                    if (is_greater(first, second)) {
                        keys[one] = second;
                        keys[other] = first;
                    }
                }
            }
            barrier();
        }
    }
    for (uint place = lane(); place < count; place += SELECT_LANES) {
        ends[place] = hits.words[key_index(keys[place]) * 3u + 2u];
    }
    barrier();
}

// What is left to other workgroups; nothing, where there is no work for them.
void leave(uint many) {
    control.many = many;
    uint tiles = tile_count();
    control.tiles_x = min(tiles, MOST_TILE_GROUPS);
    control.sum_digits_x = many == 0u ? 0u : DIGITS;
    control.enter_tiles_x = (tiles + WORKGROUP - 1u) / WORKGROUP;
    control.write_matches_x = min(tiles, MOST_WRITE_GROUPS);
    control.tiles_y = control.sum_digits_y = control.enter_tiles_y = control.write_matches_y = 1u;
    control.tiles_z = control.sum_digits_z = control.enter_tiles_z = control.write_matches_z = 1u;
}

void end_with(uint selected, uint matches) {
    if (lane() == 0u) {
        write_header(true, 0u, count, selected, matches);
        control.selected = selected;
        tally_matches(matches);
        leave(selected == SELECTED_MANY ? count : 0u);
    }
}

// Writes the matches, and says how many there are.
uint write_matches() {
    for (uint place = lane(); place < count; place += SELECT_LANES) {
        // It is of none but the first hits.
        bool is_carried = starts[place] == 0u && hit(key_index(keys[place])).suffix == CARRIED;
        starts[place] = is_carried ? SELECT_NONE : starts[place];
    }
    barrier();
    uint before = 0u;
    for (uint round = 0u; round < count; round += SELECT_LANES) {
        uint place = round + lane();
        bool is_match = place < count && starts[place] != SELECT_NONE;
        uint to = sum_before(is_match ? 1u : 0u);
        if (lane() == SELECT_LANES - 1u) {
            round_matches = to + (is_match ? 1u : 0u);
        }
        if (is_match) {
            uint words[3] = uint[3](key_kind(keys[place]) >> 1, starts[place], ends[place]);
            for (uint word = 0u; word < 3u; ++word) {
                hits.words[(before + to) * 3u + word] = words[word];
                write_word((before + to) * 3u + word, words[word]);
            }
        }
        barrier();
        before += round_matches;
    }
    return before;
}

void main() {
    if (PACKED == 1u && gl_WorkGroupID.x > 0u) {
        retire((gl_WorkGroupID.x - 1u) * SELECT_LANES + gl_LocalInvocationID.x);
        return;
    }
    if (RECORDED == 1u && control.recording != params.epoch) {
        // Another one has run since.
        if (lane() == 0u) {
            write_header(false, 0u, 0u, SELECTED_NONE, 0u);
            leave(0u);
        }
        return;
    }
    count = hits.count;
    bool is_done = is_over(tables.header);
    if (control.selected == SELECTED_ALL || control.selected == SELECTED_OPEN || control.selected == SELECTED_UNTOLD) {
        // By an earlier run of this kernel; starts that it has left open have to be verified first.
        if (lane() == 0u) {
            leave(0u);
        }
        return;
    }
    if (!is_done || run_retry_reasons() != 0u || count > params.hit_capacity) {
        if (lane() == 0u) {
            write_header(is_done, run_retry_reasons(), count, SELECTED_NONE, 0u);
            leave(0u);
        }
        return;
    }
    if (lane() == 0u) {
        control.opened = 0u;
        control.start_count = 0u;
    }
    if (count > SELECT_TILE) {
        end_with(SELECTED_MANY, 0u);
        return;
    }
    if (count == 0u) {
        end_with(SELECTED_ALL, 0u);
        return;
    }
    sort_keys();
    if (MATCH_ALL == 1u) {
        select_distinct(0u, count);
    } else {
        begin_chains();
        for (uint place = lane(); place < count; place += SELECT_LANES) {
            uint next = next_of(place);
            ahead[place] = next == SELECT_MIXED ? SELECT_NONE : next;
        }
        select_firsts(0u, count);
        follow_chains(0u, count);
        open_reports(0u, count, SELECT_NONE);
        memoryBarrierBuffer();
        barrier();
        uint selected = selected_of(control.opened);
        if (selected != SELECTED_ALL) {
            end_with(selected, 0u);
            return;
        }
    }
    uint matches = write_matches();
    end_with(SELECTED_ALL, matches);
    if (lane() == 0u) {
        hits.count = matches;
    }
}
