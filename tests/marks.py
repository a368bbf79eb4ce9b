"""Marks of the tests by their cost: which run real encoders, which train, which are slow.

``make check`` leaves these out. A whole file, or tests of it by name; times are of one idle core.
"""

#: folders and files whose tests run real encoders and decoders
CODEC = (
    "cli/test_codec.py",
    "cli/test_segment.py",
    "codec/formats",
    "codec/test_accumulate.py",
    "codec/test_ahead.py",
    "codec/test_apart.py",
    "codec/test_boundaries.py",
    "codec/test_broken_streams.py",
    "codec/test_colour.py",
    "codec/test_decode.py",
    "codec/test_encoded.py",
    "codec/test_gops.py",
    "codec/test_harmless.py",
    "codec/test_known_motion.py",
    "codec/test_motion.py",
    "codec/test_quality.py",
    "codec/test_real_clip.py",
    "codec/vectors",
    "data/test_footage.py",
    "data/test_opening.py",
    "data/test_rgb.py",
    "run/test_experiment.py",
    "segment",
    "view",
)

#: folders and files whose tests train networks
TRAINING = ("training",)

#: tests of more than about a second: of a file all, or those named
SLOW: dict[str, tuple[str, ...]] = {
    "cli/test_commands.py": (),
    "cli/test_latency.py": (),
    "cli/test_output.py": (
        "test_a_link_to_a_full_device_is_said_and_stays",
        "test_force_replaces_a_file",
    ),
    "cli/test_data.py": ("test_verify_of_sound_data_exits_0",),
    "core/test_allocator.py": (),
    "core/test_division.py": ("test_camvids_held_out_stills",),
    "core/test_files.py": (
        "test_a_file_that_is_replaced_is_old_or_new_whenever_the_writer_is_killed",
        "test_a_folder_that_is_replaced_is_old_or_new_whenever_the_writer_is_killed",
    ),
    "core/test_torchvision_guard.py": (),
    "cost/test_crosscheck.py": (),
    "cost/test_gmacs.py": ("test_convolutions_counted_by_hand",),
    "cost/test_memory.py": (),
    "cost/test_published.py": ("test_the_operations_of_a_source_are_those_that_come_near_ours",),
    "cost/test_shapes.py": ("test_counting_does_not_import_the_compiler",),
    "datasets/test_camvid.py": (
        "test_real_twelve_classes_merge_nothing",
        "test_real_colours_and_ids_give_the_same_classes",
        "test_real_train_and_test_are_stills",
    ),
    "datasets/test_cityscapes.py": ("test_real_frames_read_by_their_genuine_names",),
    "datasets/test_conformance.py": (
        "test_clips_are_what_they_say",
        "test_clips_pickle_and_repeat",
    ),
    "datasets/test_synthetic.py": (),
    "fast/test_prepare.py": ("test_every_method_keeps_its_outputs",),
    "latency/test_binding.py": (),
    "methods/arseg/test_conventions.py": (),
    "methods/bisenet/test_bisenet.py": (),
    "methods/bisenet/test_originals.py": (),
    "methods/dff/test_deeplab.py": (),
    "methods/dff/test_dff.py": (),
    "methods/dff/test_flownet.py": (),
    "methods/dff/test_originals.py": (),
    "methods/dsrl/test_deeplabv3plus.py": (),
    "methods/dsrl/test_dsrl.py": (),
    "methods/dsrl/test_espnetv2.py": (),
    "methods/dsrl/test_originals.py": (),
    "methods/icnet/test_icnet.py": (),
    "methods/icnet/test_network.py": (),
    "methods/icnet/test_originals.py": (),
    "methods/icnet/test_pruning.py": (),
    "methods/test_conformance.py": (
        "test_a_third_party_plug_in_passes_the_suite",
        "test_cost_counts_both_kinds_of_frame",
        "test_every_phase_trains_in_bf16_and_channels_last",
        "test_weights_survive_their_file",
        "test_what_a_codec_cannot_give_is_refused_in_words",
    ),
    "metrics/test_bootstrap.py": (),
    "metrics/test_scores.py": ("test_equal_to_torchmetrics",),
    "native/test_native.py": ("test_is_built_once_by_many_at_a_time_and_leaves_one_file",),
    "nets/test_bisenet.py": ("test_cost_is_the_originals",),
    "nets/test_xception39.py": ("test_cost_is_the_papers",),
    "report/test_placement.py": ("test_eight_close_points",),
    "report/test_plots.py": (),
    "report/test_rates.py": (),
    "run/test_store.py": (
        "test_many_writers_at_once",
        "test_readers_find_every_run_while_four_processes_replace_them",
    ),
    "test_fidelity.py": (),
    "test_habits.py": (
        "test_a_test_that_hangs_in_compiled_code_fails_alone",
        "test_one_that_holds_pythons_lock_fails_alone_too",
    ),
    "test_packaging.py": (),
    "tools/test_reference_training.py": (),
    "weights/test_golden.py": (),
    "weights/test_importer.py": (),
}
