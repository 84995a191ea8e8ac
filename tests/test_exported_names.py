import pipeline


def test_the_public_names_are_these_and_can_all_be_had() -> None:
    assert pipeline.__all__ == sorted(pipeline.ROOMS)
    for name in pipeline.__all__:
        assert getattr(pipeline, name).__name__ == name
    assert dir(pipeline) == pipeline.__all__


def test_what_is_not_public_is_not_there() -> None:
    assert not hasattr(pipeline, "Trainer")
