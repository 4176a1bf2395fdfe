"""Picture quality: BRISQUE beside OpenCV's, and every measure against graded damage that was done to real frames."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from trendflow.kit.brisque import features, load_brisque
from trendflow.kit.models import Models

# --- BRISQUE ----------------------------------------------------------------------------------------------------------------------

OPENCV = {                      # scores of cv2.quality.QualityBRISQUE 4.13 for each picture as it is, blurred and noisy
    "coffee.png": (3.81, 68.59, 40.78), "chelsea.png": (0.0, 52.25, 47.59), "astronaut.png": (0.16, 47.9, 44.01),
    "camera.png": (0.0, 48.29, 54.5), "motorcycle_left.png": (17.73, 52.53, 49.51), "rocket.jpg": (9.27, 66.59, 62.89),
}


@pytest.fixture(scope="module")
def brisque(): return Models(("brisque",)).load("brisque", load_brisque)


@pytest.mark.parametrize("name", OPENCV)
def test_brisque_scores_as_opencv_does(name: str, brisque, shared_data: Path) -> None:
    grey = cv2.imread(str(shared_data / "images" / "skimage" / name), cv2.IMREAD_GRAYSCALE)
    noisy = (grey + 15 * np.random.default_rng(0).standard_normal(grey.shape)).clip(0, 255).astype(np.uint8)
    np.testing.assert_allclose([brisque.score(x) for x in (grey, cv2.GaussianBlur(grey, (0, 0), 1.5), noisy)], OPENCV[name], atol=0.2)


def test_brisque_of_what_has_no_statistics(brisque) -> None:
    rng = np.random.default_rng(0)
    for flat in (np.full((360, 640), 7, np.uint8), np.zeros((32, 32), np.uint8), rng.integers(0, 255, (31, 400), np.uint8)): assert np.isnan(brisque.score(flat))
    edge = np.full((64, 64), 50, np.uint8)
    edge[:, 32:] = 200
    assert np.isfinite(features(edge)).any() and 0 <= brisque.score(rng.integers(0, 255, (33, 32), np.uint8)) <= 100


def test_brisque_does_not_mind_a_mirror(brisque) -> None:
    picture = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (200, 300), np.uint8), (0, 0), 1)
    assert abs(brisque.score(picture) - brisque.score(picture[:, ::-1].copy())) < 0.5
