-- Statistics of a two-by-two table of sentences: `n_pair` with both, `n_drug` and `n_condition` with each, `n` in all.
--
--                      condition                  no condition
--     drug             a = n_pair                 b = n_drug - n_pair
--     no drug          c = n_condition - n_pair   d = n - n_drug - n_condition + n_pair
--
-- Every function is one expression, so that the planner puts it in place of the call (EXPLAIN VERBOSE shows no call).
-- A sub-select, or an argument that costs more than ten operators, would prevent that: give columns, not sums of columns.
-- Null, and no error, where an argument is null or no such table exists. No result is infinite or NaN: what would be is
-- null or corrected, as each comment says. Differences are written so that no bigint overflows.

CREATE OR REPLACE FUNCTION analysis.is_two_by_two(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT n > 0 AND n_pair >= 0 AND n_drug BETWEEN n_pair AND n AND n_condition BETWEEN n_pair AND n
           AND n_drug - n_pair <= n - n_condition
$$;
COMMENT ON FUNCTION analysis.is_two_by_two(bigint, bigint, bigint, bigint) IS
    'Whether the four counts are those of a table: n above 0, no cell below 0. All statistics of counts are null where this is false or null';

CREATE OR REPLACE FUNCTION analysis.has_comparison(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT analysis.is_two_by_two(n_pair, n_drug, n_condition, n)
           AND n_drug > 0 AND n_drug < n AND n_condition > 0 AND n_condition < n
$$;
COMMENT ON FUNCTION analysis.has_comparison(bigint, bigint, bigint, bigint) IS
    'Whether no row and no column of the table is empty: drug and condition each in some sentences and not in all. Ratios and chi square are null elsewhere, because there is nothing to compare with';

CREATE OR REPLACE FUNCTION analysis.expected_count(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.is_two_by_two(n_pair, n_drug, n_condition, n) THEN n_drug::float8 * n_condition / n END
$$;
COMMENT ON FUNCTION analysis.expected_count(bigint, bigint, bigint, bigint) IS
    'Sentences expected to mention both if drug and condition were independent, E = n_drug * n_condition / n';

CREATE OR REPLACE FUNCTION analysis.pmi(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.is_two_by_two(n_pair, n_drug, n_condition, n) AND n_pair > 0
        THEN ln(n_pair::float8 * n / (n_drug::float8 * n_condition)) / ln(2::float8)
    END
$$;
COMMENT ON FUNCTION analysis.pmi(bigint, bigint, bigint, bigint) IS
    'Pointwise mutual information in bits, log2(p(xy) / (p(x) p(y))) = log2(n_pair / E). Null where n_pair = 0, for which it is minus infinity; high for rare pairs, which information_component shrinks. Church and Hanks 1990, Computational Linguistics 16(1)';

CREATE OR REPLACE FUNCTION analysis.npmi(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.is_two_by_two(n_pair, n_drug, n_condition, n) THEN CASE
        WHEN n_pair = 0 THEN -1
        WHEN n_pair::float8 = n THEN 1
        ELSE ln(n_pair::float8 * n / (n_drug::float8 * n_condition)) / -ln(n_pair::float8 / n)
    END END
$$;
COMMENT ON FUNCTION analysis.npmi(bigint, bigint, bigint, bigint) IS
    'Normalised pointwise mutual information, ln(p(xy)/(p(x)p(y))) / -ln p(xy), from -1 (never together) over 0 (independent) to 1 (always together). Bouma 2009, Proceedings of GSCL';

CREATE OR REPLACE FUNCTION analysis.log_likelihood_ratio(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.is_two_by_two(n_pair, n_drug, n_condition, n) THEN greatest(0, 2 * (
        CASE WHEN n_pair > 0
             THEN n_pair * ln(n_pair::float8 * n / (n_drug::float8 * n_condition)) ELSE 0 END
        + CASE WHEN n_drug - n_pair > 0
               THEN (n_drug - n_pair)
                    * ln((n_drug - n_pair)::float8 * n / (n_drug::float8 * (n - n_condition))) ELSE 0 END
        + CASE WHEN n_condition - n_pair > 0
               THEN (n_condition - n_pair)
                    * ln((n_condition - n_pair)::float8 * n / ((n - n_drug)::float8 * n_condition)) ELSE 0 END
        + CASE WHEN (n - n_drug) - (n_condition - n_pair) > 0
               THEN ((n - n_drug) - (n_condition - n_pair))
                    * ln(((n - n_drug) - (n_condition - n_pair))::float8 * n
                         / ((n - n_drug)::float8 * (n - n_condition))) ELSE 0 END
    )) END
$$;
COMMENT ON FUNCTION analysis.log_likelihood_ratio(bigint, bigint, bigint, bigint) IS
    'G squared, 2 * sum(observed * ln(observed / expected)) over the four cells; above 3.84 the two are associated at p < 0.05, in either direction: signed_log_likelihood_ratio tells which. 0 where drug or condition is in no sentence or in all. Dunning 1993, Computational Linguistics 19(1)';

CREATE OR REPLACE FUNCTION analysis.signed_log_likelihood_ratio(
    n_pair bigint, n_drug bigint, n_condition bigint, n bigint
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sign(n_pair - analysis.expected_count(n_pair, n_drug, n_condition, n))
           * analysis.log_likelihood_ratio(n_pair, n_drug, n_condition, n)
$$;
COMMENT ON FUNCTION analysis.signed_log_likelihood_ratio(bigint, bigint, bigint, bigint) IS
    'G squared with the sign of n_pair - E: positive where the pair is more frequent than expected, negative where it is rarer. For a one-sided test of more often than expected at level p, compare with the chi square quantile of 1 - 2p: above 2.71 for p < 0.05, above 9.55 for p < 0.001; a rarer pair never passes. The square of the signed root statistic, Barndorff-Nielsen 1986, Biometrika 73(2)';

CREATE OR REPLACE FUNCTION analysis.chi_square_yates(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.has_comparison(n_pair, n_drug, n_condition, n)
        THEN greatest(0, abs(n_pair - n_drug::float8 * n_condition / n) - 0.5::float8) ^ 2
             * (n / n_drug::float8) * (n / n_condition::float8) * (n / (n - n_drug)::float8) / (n - n_condition)
    END
$$;
COMMENT ON FUNCTION analysis.chi_square_yates(bigint, bigint, bigint, bigint) IS
    'Chi square with Yates''s correction, sum(max(0, |observed - expected| - 0.5)^2 / expected) over the four cells, in either direction. Null where a row or column of the table is empty. Yates 1934, Supplement to the Journal of the Royal Statistical Society 1(2)';

CREATE OR REPLACE FUNCTION analysis.odds_ratio(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.has_comparison(n_pair, n_drug, n_condition, n) THEN CASE
        WHEN least(n_pair, n_drug - n_pair, n_condition - n_pair, (n - n_drug) - (n_condition - n_pair)) > 0
        THEN n_pair::float8 / (n_drug - n_pair)
             * ((n - n_drug) - (n_condition - n_pair)) / (n_condition - n_pair)
        ELSE (n_pair + 0.5::float8) / (n_drug - n_pair + 0.5::float8)
             * ((n - n_drug) - (n_condition - n_pair) + 0.5::float8) / (n_condition - n_pair + 0.5::float8)
    END END
$$;
COMMENT ON FUNCTION analysis.odds_ratio(bigint, bigint, bigint, bigint) IS
    'Odds of the condition in sentences with the drug over the odds in sentences without, ad / (bc). Where at least one cell is 0, and nowhere else, 0.5 is added to all four (Haldane 1956, Annals of Human Genetics 20(4); Anscombe 1956, Biometrika 43(3/4)). Null where a row or column of the table is empty. Woolf 1955, Annals of Human Genetics 19(4)';

CREATE OR REPLACE FUNCTION analysis.log_odds_ratio_error(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.has_comparison(n_pair, n_drug, n_condition, n) THEN CASE
        WHEN least(n_pair, n_drug - n_pair, n_condition - n_pair, (n - n_drug) - (n_condition - n_pair)) > 0
        THEN sqrt(1 / n_pair::float8 + 1 / (n_drug - n_pair)::float8 + 1 / (n_condition - n_pair)::float8
                  + 1 / ((n - n_drug) - (n_condition - n_pair))::float8)
        ELSE sqrt(1 / (n_pair + 0.5::float8) + 1 / (n_drug - n_pair + 0.5::float8)
                  + 1 / (n_condition - n_pair + 0.5::float8)
                  + 1 / ((n - n_drug) - (n_condition - n_pair) + 0.5::float8))
    END END
$$;
COMMENT ON FUNCTION analysis.log_odds_ratio_error(bigint, bigint, bigint, bigint) IS
    'Standard error of ln odds_ratio, sqrt(1/a + 1/b + 1/c + 1/d), of cells corrected as in odds_ratio. Woolf 1955, Annals of Human Genetics 19(4)';

CREATE OR REPLACE FUNCTION analysis.odds_ratio_low(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT analysis.odds_ratio(n_pair, n_drug, n_condition, n)
           * exp(-1.959963984540054::float8 * analysis.log_odds_ratio_error(n_pair, n_drug, n_condition, n))
$$;
COMMENT ON FUNCTION analysis.odds_ratio_low(bigint, bigint, bigint, bigint) IS
    'Lower limit of the 95 % confidence interval of odds_ratio, exp(ln OR - 1.96 * log_odds_ratio_error), of cells corrected as there. Woolf 1955, Annals of Human Genetics 19(4)';

CREATE OR REPLACE FUNCTION analysis.odds_ratio_high(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT analysis.odds_ratio(n_pair, n_drug, n_condition, n)
           * exp(1.959963984540054::float8 * analysis.log_odds_ratio_error(n_pair, n_drug, n_condition, n))
$$;
COMMENT ON FUNCTION analysis.odds_ratio_high(bigint, bigint, bigint, bigint) IS
    'Upper limit of the 95 % confidence interval of odds_ratio, exp(ln OR + 1.96 * log_odds_ratio_error), of cells corrected as there. Woolf 1955, Annals of Human Genetics 19(4)';

CREATE OR REPLACE FUNCTION analysis.proportional_reporting_ratio(
    n_pair bigint, n_drug bigint, n_condition bigint, n bigint
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.has_comparison(n_pair, n_drug, n_condition, n) THEN CASE
        WHEN n_pair > 0 AND n_pair < n_condition
        THEN n_pair::float8 / n_drug * (n - n_drug) / (n_condition - n_pair)
        ELSE (n_pair + 0.5::float8) / (n_drug + 1::float8)
             * (n - n_drug + 1::float8) / (n_condition - n_pair + 0.5::float8)
    END END
$$;
COMMENT ON FUNCTION analysis.proportional_reporting_ratio(bigint, bigint, bigint, bigint) IS
    'Share of the drug''s sentences that mention the condition over that share in all other sentences, (a / (a + b)) / (c / (c + d)). Where a or c is 0, and nowhere else, 0.5 is added to all four cells. Null where a row or column of the table is empty. Evans, Waller and Davis 2001, Pharmacoepidemiology and Drug Safety 10(6), who take PRR >= 2, chi square >= 4 and 3 or more cases for a signal';

CREATE OR REPLACE FUNCTION analysis.log_proportional_reporting_ratio_error(
    n_pair bigint, n_drug bigint, n_condition bigint, n bigint
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.has_comparison(n_pair, n_drug, n_condition, n) THEN CASE
        WHEN n_pair > 0 AND n_pair < n_condition
        THEN sqrt(greatest(0, 1 / n_pair::float8 - 1 / n_drug::float8
                              + 1 / (n_condition - n_pair)::float8 - 1 / (n - n_drug)::float8))
        ELSE sqrt(greatest(0, 1 / (n_pair + 0.5::float8) - 1 / (n_drug + 1::float8)
                              + 1 / (n_condition - n_pair + 0.5::float8) - 1 / (n - n_drug + 1::float8)))
    END END
$$;
COMMENT ON FUNCTION analysis.log_proportional_reporting_ratio_error(bigint, bigint, bigint, bigint) IS
    'Standard error of ln proportional_reporting_ratio, sqrt(1/a - 1/(a+b) + 1/c - 1/(c+d)), of cells corrected as there. Katz et al. 1978, Biometrics 34(3)';

CREATE OR REPLACE FUNCTION analysis.proportional_reporting_ratio_low(
    n_pair bigint, n_drug bigint, n_condition bigint, n bigint
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT analysis.proportional_reporting_ratio(n_pair, n_drug, n_condition, n)
           * exp(-1.959963984540054::float8
                 * analysis.log_proportional_reporting_ratio_error(n_pair, n_drug, n_condition, n))
$$;
COMMENT ON FUNCTION analysis.proportional_reporting_ratio_low(bigint, bigint, bigint, bigint) IS
    'Lower limit of the 95 % confidence interval of proportional_reporting_ratio, exp(ln PRR - 1.96 * log_proportional_reporting_ratio_error), of cells corrected as there. Katz et al. 1978, Biometrics 34(3)';

CREATE OR REPLACE FUNCTION analysis.proportional_reporting_ratio_high(
    n_pair bigint, n_drug bigint, n_condition bigint, n bigint
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT analysis.proportional_reporting_ratio(n_pair, n_drug, n_condition, n)
           * exp(1.959963984540054::float8
                 * analysis.log_proportional_reporting_ratio_error(n_pair, n_drug, n_condition, n))
$$;
COMMENT ON FUNCTION analysis.proportional_reporting_ratio_high(bigint, bigint, bigint, bigint) IS
    'Upper limit of the 95 % confidence interval of proportional_reporting_ratio, exp(ln PRR + 1.96 * log_proportional_reporting_ratio_error), of cells corrected as there. Katz et al. 1978, Biometrics 34(3)';

CREATE OR REPLACE FUNCTION analysis.reporting_odds_ratio(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT analysis.odds_ratio(n_pair, n_drug, n_condition, n)
$$;
COMMENT ON FUNCTION analysis.reporting_odds_ratio(bigint, bigint, bigint, bigint) IS
    'Reporting odds ratio: odds_ratio by the name that it has in pharmacovigilance. The same number of the same table. van Puijenbroek et al. 2002, Pharmacoepidemiology and Drug Safety 11(1), who take a lower limit above 1 for a signal';

CREATE OR REPLACE FUNCTION analysis.reporting_odds_ratio_low(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT analysis.odds_ratio_low(n_pair, n_drug, n_condition, n)
$$;
COMMENT ON FUNCTION analysis.reporting_odds_ratio_low(bigint, bigint, bigint, bigint) IS
    'Lower limit of the 95 % confidence interval of reporting_odds_ratio: odds_ratio_low by the name that it has in pharmacovigilance. van Puijenbroek et al. 2002, Pharmacoepidemiology and Drug Safety 11(1)';

CREATE OR REPLACE FUNCTION analysis.reporting_odds_ratio_high(
    n_pair bigint, n_drug bigint, n_condition bigint, n bigint
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT analysis.odds_ratio_high(n_pair, n_drug, n_condition, n)
$$;
COMMENT ON FUNCTION analysis.reporting_odds_ratio_high(bigint, bigint, bigint, bigint) IS
    'Upper limit of the 95 % confidence interval of reporting_odds_ratio: odds_ratio_high by the name that it has in pharmacovigilance. van Puijenbroek et al. 2002, Pharmacoepidemiology and Drug Safety 11(1)';

CREATE OR REPLACE FUNCTION analysis.information_component(n_pair bigint, n_drug bigint, n_condition bigint, n bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.is_two_by_two(n_pair, n_drug, n_condition, n)
        THEN ln((n_pair + 0.5::float8) / (n_drug::float8 * n_condition / n + 0.5::float8)) / ln(2::float8)
    END
$$;
COMMENT ON FUNCTION analysis.information_component(bigint, bigint, bigint, bigint) IS
    'Information component of BCPNN, observed over expected in bits with shrinkage towards 0, log2((n_pair + 0.5) / (E + 0.5)). Norén, Hopstadius and Bate 2013, Statistical Methods in Medical Research 22(1)';

CREATE OR REPLACE FUNCTION analysis.information_component_low(
    n_pair bigint, n_drug bigint, n_condition bigint, n bigint
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.is_two_by_two(n_pair, n_drug, n_condition, n)
        THEN analysis.information_component(n_pair, n_drug, n_condition, n)
             - 3.3::float8 / sqrt(n_pair + 0.5::float8) - 2 / (n_pair + 0.5::float8) ^ 1.5::float8
    END
$$;
COMMENT ON FUNCTION analysis.information_component_low(bigint, bigint, bigint, bigint) IS
    'IC025, lower limit of the 95 % credibility interval of information_component, IC - 3.3 (n_pair + 0.5)^(-1/2) - 2 (n_pair + 0.5)^(-3/2); above 0 the pair is more frequent than expected. Within 0.05 of the exact limit log2(gamma quantile(0.025; n_pair + 0.5) / (E + 0.5)) from n_pair = 1 on, and below it from 2 on, so that it errs on the side of no signal; 0.34 below it at n_pair = 0. Norén, Hopstadius and Bate 2013, Statistical Methods in Medical Research 22(1)';

CREATE OR REPLACE FUNCTION analysis.information_component_high(
    n_pair bigint, n_drug bigint, n_condition bigint, n bigint
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN analysis.is_two_by_two(n_pair, n_drug, n_condition, n)
        THEN analysis.information_component(n_pair, n_drug, n_condition, n)
             + 2.4::float8 / sqrt(n_pair + 0.5::float8) - 0.5::float8 / (n_pair + 0.5::float8) ^ 1.5::float8
    END
$$;
COMMENT ON FUNCTION analysis.information_component_high(bigint, bigint, bigint, bigint) IS
    'IC975, upper limit of the 95 % credibility interval of information_component, IC + 2.4 (n_pair + 0.5)^(-1/2) - 0.5 (n_pair + 0.5)^(-3/2). Within 0.05 of the exact limit log2(gamma quantile(0.975; n_pair + 0.5) / (E + 0.5)) from n_pair = 1 on; 0.35 below it at n_pair = 0. Norén, Hopstadius and Bate 2013, Statistical Methods in Medical Research 22(1)';

-- STRING's score is of citations, not of sentences. It counts a citation once, however many of its sentences mention
-- the pair, and its totals are sums over pairs, not counts of what mentions the drug alone.

CREATE OR REPLACE FUNCTION analysis.cooccurrence_weight(n_same_citation bigint, n_same_sentence bigint)
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN n_same_sentence BETWEEN 0 AND n_same_citation
        THEN 3 * n_same_citation::float8 + 0.2::float8 * n_same_sentence
    END
$$;
COMMENT ON FUNCTION analysis.cooccurrence_weight(bigint, bigint) IS
    'Weighted count of a pair for cooccurrence_score, 3 * n_same_citation + 0.2 * n_same_sentence: citations that mention both anywhere, and those of them that do so in one sentence. Where only the latter are counted, give them twice: the weight is then 3.2 a citation. Null where n_same_sentence is below 0 or above n_same_citation. Weights for abstracts (1 a document and 2 a paragraph, of which an abstract is one): Franceschini et al. 2013, Nucleic Acids Research 41(D1); Pletscher-Frankild et al. 2015, Methods 74';

CREATE OR REPLACE FUNCTION analysis.cooccurrence_score(
    w_pair double precision, w_drug double precision, w_condition double precision, w_total double precision
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN w_pair >= 0 AND w_drug > 0 AND w_condition > 0 AND w_total < 'Infinity'::float8
                     AND w_pair * 0.999999::float8 <= least(w_drug, w_condition)
                     AND greatest(w_drug, w_condition) * 0.999999::float8 <= w_total
        THEN CASE
            WHEN w_pair = 0 THEN 0
            ELSE exp(greatest(-700, ln(w_pair) + 0.4::float8 * (ln(w_total) - ln(w_drug) - ln(w_condition))))
        END
    END
$$;
COMMENT ON FUNCTION analysis.cooccurrence_score(double precision, double precision, double precision, double precision) IS
    'Text-mining score of STRING, C_ij^0.6 * (C_ij C_.. / (C_i. C_.j))^0.4: how often the two stand together, and how much more often than expected. Arguments are weights of cooccurrence_weight: of the pair (C_ij), summed over all pairs of the drug (C_i.), over all pairs of the condition (C_.j), and over all pairs (C_..). From 0 up, without a bound; it ranks pairs of one corpus and is no test. 0 where w_pair = 0; null where w_drug or w_condition is 0, a weight is negative, or one exceeds its total by more than a millionth, which sums of fractions may. Franceschini et al. 2013, Nucleic Acids Research 41(D1); Pletscher-Frankild et al. 2015, Methods 74';
