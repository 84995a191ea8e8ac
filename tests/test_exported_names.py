import pipeline


def test_every_public_name_can_be_imported() -> None:
    assert pipeline.__all__ == sorted(pipeline.MODULE_BY_NAME)
    for name in pipeline.__all__:
        assert getattr(pipeline, name).__name__ == name
    assert dir(pipeline) == pipeline.__all__


def test_other_names_are_not_exported() -> None:
    assert not hasattr(pipeline, "Trainer")
