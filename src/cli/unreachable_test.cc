#include "cli/unreachable.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

const std::string kTold = "the recovery window is 2027-01-15T08:00:00.000000Z to 2027-01-15T23:00:40.500000Z";

TEST(Unreachable, TimesAreToldWithTheOffsetThatWasGiven) {
  EXPECT_EQ(with_times_as_given(kTold, "2027-01-14T10:00:00+01:00"),
            "the recovery window is 2027-01-15T09:00:00.000000+01:00 to 2027-01-16T00:00:40.500000+01:00");
  EXPECT_EQ(with_times_as_given(kTold, "2027-01-14 10:00:00-0530"),
            "the recovery window is 2027-01-15T02:30:00.000000-05:30 to 2027-01-15T17:30:40.500000-05:30");
  EXPECT_EQ(with_times_as_given(kTold, "2027-01-14T10:00:00Z"), kTold);
}

TEST(Unreachable, WhatIsToldCanBeGivenBack) {
  const auto told = with_times_as_given("2027-01-15T08:00:00.250000Z", "2027-01-14T10:00:00+01:00");
  EXPECT_EQ(parse_time(told, {}).value(), parse_time("2027-01-15T08:00:00.250000Z", {}).value());
}

TEST(Unreachable, OthersAreToldInTheLocalZone) {
  ::setenv("TZ", "HFT-2", 1);
  ::tzset();
  EXPECT_EQ(with_times_as_given("2027-01-15T08:00:00.250000Z", "10 minutes ago"), "2027-01-15T10:00:00.250000+02:00");
  EXPECT_EQ(with_times_as_given("2027-01-15T08:00:00.250000Z", std::nullopt), "2027-01-15T10:00:00.250000+02:00");
  ::unsetenv("TZ");
  ::tzset();
}

TEST(Unreachable, AnErrorKeepsItsContextAndGetsAHint) {
  const auto refused = [] {
    return make_error(ErrorCode::kUnreachableTarget, "{}", kTold).with_context("component db");
  };
  EXPECT_EQ(told_of_windows(refused(), "2027-01-14T10:00:00Z", false).text(),
            "component db: " + kTold + " (choose an instant in the window, or --at latest)");
  EXPECT_EQ(told_of_windows(refused(), "2027-01-14T10:00:00+01:00", true).text(),
            "component db: " + kTold + " (choose an instant in the window, or --at latest)");
  EXPECT_EQ(told_of_windows(make_error(ErrorCode::kIo, "{}", kTold), "1 h ago", false).text(), kTold);
}

}  // namespace
}  // namespace holdfast::cli
