-- wrk -s bench/load.lua URL -- DEPTH: so many requests in one write, and the latency's percentiles at the end.
init = function(args)
    local depth = tonumber(args[1]) or 1
    if depth > 1 then
        pipelined = string.rep(wrk.format(), depth)
        request = function()
            return pipelined
        end
    end
end

done = function(summary, latency, requests)
    io.write(string.format("percentiles_us %d %d %d\n", latency:percentile(50), latency:percentile(99),
                           latency:percentile(99.9)))
end
