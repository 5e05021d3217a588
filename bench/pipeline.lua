-- Sixteen requests in one write, for wrk -s.
init = function()
    local request = wrk.format()
    pipelined = string.rep(request, 16)
end

request = function()
    return pipelined
end
